"""Are the source distribution and the wheel fit to be uploaded, and do the unit tests pass in what was unpacked?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
WORKERS = 2
# Neither is about the package: nothing was there to be left out, and whoever builds wants no bytecode.
HARMLESS = re.compile(r"no previously-included files matching|byte-compiling is disabled")
# What it says of the addresses, it says of a project that has a home.
WITH_HOME = {"GMF_HOME_URL": "https://home.invalid/django-gmf-router"}


def main(tests: Sequence[str]) -> int:
    """Build both below dist/ and check them; return 1 if anything is wrong.

    `tests`: those to run from what was unpacked; all unit tests, if none are named.
    """
    shutil.rmtree(DIST, ignore_errors=True)
    try:
        complaints = warnings_in(run("build"))
        if complaints:
            print("The build warns:", *complaints, sep="\n")
            return 1
        (sources,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
        with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(WORKERS) as pool:
            for done in [*_tests(pool, _unpacked(sources, place), tests), pool.submit(_check, sources, wheel)]:
                done.result()
    except subprocess.CalledProcessError as error:
        print(error.stdout)
        return 1
    print(f"dist/{sources.name}\ndist/{wheel.name}")
    return 0


def _check(sources: Path, wheel: Path) -> None:
    run("twine", "check", "--strict", str(sources), str(wheel))
    run("check_manifest")
    run("check_wheel_contents", str(wheel))
    # The tenth is for an address of the authors, who have none.
    run("pyroma", "--min", "9", ".", env=WITH_HOME)


def _unpacked(sources: Path, place: str) -> Path:
    with tarfile.open(sources) as archive:
        archive.extractall(place, filter="data")
    (root,) = Path(place).iterdir()
    return root


def _tests(pool: ThreadPoolExecutor, root: Path, tests: Sequence[str]) -> Iterator[Future[str]]:
    """Submit tests of what was unpacked, in three parts, of which none has most of the long ones."""
    parts = tests or sorted(str(part.relative_to(root)) for part in (root / "tests" / "unit").glob("[!_]*"))
    # Those that start another Python have it import these files, not the ones that are installed for editing.
    env = {"PYTHONPATH": str(root)}
    # The wheel was built from these files.
    options = ("-q", "-p", "no:cacheprovider", "--ignore", "tests/unit/distribution/test_wheel.py")
    return (
        pool.submit(run, "pytest", *options, *part, cwd=root, env=env)
        for part in (parts[::3], parts[1::3], parts[2::3])
        if part
    )


def warnings_in(output: str) -> list[str]:
    """Return the lines of a build in which setuptools warns of something."""
    lines = (line.strip() for line in output.splitlines())
    return [line for line in lines if re.search(r"warning\b", line, re.IGNORECASE) and not HARMLESS.search(line)]


def run(module: str, *arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Return what a module prints; raise CalledProcessError where it ends with another code than 0."""
    command: Sequence[str] = [sys.executable, "-m", module, *arguments]
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    print(f"ok   {module} ({time.monotonic() - began:.1f} s)", flush=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
