"""Does its test fail where a line that keeps a promise is taken out of a copy of the package?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.teeth.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("django_gmf_router", "tests", "setup.cfg")
TESTS_FAILED = 1
SECONDS = 120


def main() -> int:
    """Print a line for each promise; return 1 if one can be broken unnoticed."""
    workers = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(workers):
            copies.put(_copy(Path(name) / str(number)))
        whole = _pytest(_copy(Path(name) / "whole"), {mutation.test for mutation in MUTATIONS})
        if whole.returncode != 0:
            print(f"These tests fail though every promise is kept:\n{whole.stdout}")
            return 1
        with ThreadPoolExecutor(workers) as pool:
            missed = 0
            for mutation, why in zip(
                MUTATIONS, pool.map(lambda each: _unnoticed(each, copies), MUTATIONS), strict=True
            ):
                print(f"{'MISS' if why else 'ok  '} {mutation.promise}{why and f': {why}'}", flush=True)
                missed += bool(why)
    print(f"{len(MUTATIONS) - missed} passed, {missed} failed")
    return 1 if missed else 0


def _copy(place: Path) -> Path:
    place.mkdir()
    for part in COPIED:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, place / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, place / part)
    return place


def _unnoticed(mutation: Mutation, copies: SimpleQueue[Path]) -> str:
    """Return what happened instead of a test that fails, "" if it did."""
    copy = copies.get()
    file = copy / mutation.file
    text = file.read_text()
    file.write_text(text.replace(mutation.quote, mutation.instead))
    try:
        done = _pytest(copy, [mutation.test])
    except subprocess.TimeoutExpired:
        return f"pytest did not end within {SECONDS} s"
    finally:
        file.write_text(text)
        copies.put(copy)
    return "" if done.returncode == TESTS_FAILED else f"pytest ended with {done.returncode}: {done.stdout[-300:]}"


def _pytest(copy: Path, tests: Iterable[str]) -> subprocess.CompletedProcess[str]:
    # -B: Python knows stale bytecode by second and size of its source, which two mutations may share.
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    env = {**os.environ, "PYTHONPATH": str(copy), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)


if __name__ == "__main__":
    sys.exit(main())
