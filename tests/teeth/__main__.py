"""Run each rule's tests against a copy of the package without the rule: they have to fail."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.teeth.monitoring import MONITORING
from tests.teeth.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("django_gmf_router", "tests", "setup.cfg")
TESTS_FAILED = 1
SECONDS = 120
PART_IN_CI = 6


def main() -> int:
    """Print a line for each rule; answer 1 if a rule can be taken out unnoticed."""
    chosen = [
        mutation for mutation in (*MUTATIONS, *MONITORING) if mutation.rule.startswith(tuple(sys.argv[1:] or [""]))
    ]
    if os.environ.get("CI") and not sys.argv[1:]:
        # All of them take minutes; each has its turn.
        chosen = random.SystemRandom().sample(chosen, len(chosen) // PART_IN_CI)
    missed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutation, (holds, why) in zip(chosen, pool.map(noticed, chosen), strict=True):
            print(f"{'ok  ' if holds else 'MISS'} {mutation.rule}{'' if holds else f': {why}'}", flush=True)
            missed += not holds
    print(f"{len(chosen) - missed} passed, {missed} failed")
    return 1 if missed else 0


def noticed(mutation: Mutation) -> tuple[bool, str]:
    """Return whether the tests fail without the rule, and what happened instead."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for part in COPIED:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / part)
        file = copy / mutation.file
        text = file.read_text()
        if text.count(mutation.old) != 1:
            return False, f"its text stands {text.count(mutation.old)} times in {mutation.file}"
        file.write_text(text.replace(mutation.old, mutation.new))
        try:
            done = _pytest(copy, mutation.tests)
        except subprocess.TimeoutExpired:
            return False, f"pytest did not end within {SECONDS} s"
    return done.returncode == TESTS_FAILED, f"pytest ended with {done.returncode}: {done.stdout[-300:]}"


def _pytest(copy: Path, tests: str) -> subprocess.CompletedProcess[str]:
    path, _, expression = tests.partition(" -k ")
    selection = [path, *(["-k", expression] if expression else [])]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *selection]
    env = {**os.environ, "PYTHONPATH": str(copy), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)


if __name__ == "__main__":
    sys.exit(main())
