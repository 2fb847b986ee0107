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
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
# They are left out where there are none: nothing to warn of.
NONE_TO_LEAVE_OUT = "warning: no previously-included files matching"
# What it says of the addresses, it says of a project that has a home.
WITH_HOME = {"GMF_HOME_URL": "https://home.invalid/django-gmf-router"}


def main() -> int:
    """Build both below dist/ and check them; return 1 at the first thing that is wrong."""
    shutil.rmtree(DIST, ignore_errors=True)
    try:
        built = run("build")
        complaints = warnings_in(built)
        if complaints:
            print("The build warns:", *complaints, sep="\n")
            return 1
        (sources,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
        run("twine", "check", "--strict", str(sources), str(wheel))
        run("check_manifest")
        run("check_wheel_contents", str(wheel))
        run("pyroma", "--min", "10", ".", env=WITH_HOME)
        _test_unpacked(sources)
    except subprocess.CalledProcessError as error:
        print(error.stdout)
        return 1
    print(f"dist/{sources.name}\ndist/{wheel.name}")
    return 0


def warnings_in(output: str) -> list[str]:
    """Return the lines of a build in which setuptools warns of something."""
    lines = (line.strip() for line in output.splitlines())
    return [line for line in lines if re.search(r"warning\b", line, re.IGNORECASE) and NONE_TO_LEAVE_OUT not in line]


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


def _test_unpacked(sources: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(sources) as archive:
            archive.extractall(place, filter="data")
        (root,) = Path(place).iterdir()
        run("pytest", "-q", "-p", "no:cacheprovider", "tests/unit", cwd=root)


if __name__ == "__main__":
    sys.exit(main())
