"""How did a suite end in one variant? Each run is a process of its own; those of the baseline are kept."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import django

from tests.django_suites.compare import Outcomes
from tests.django_suites.recorder import OUTCOMES_VARIABLE
from tests.django_suites.source import cache_folder
from tests.django_suites.variants import BASELINE, Variant

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 900


class SuiteBroken(Exception):
    """A suite ended without telling how its tests ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The outcomes of one suite in one variant; `seconds` is 0 where they were kept."""

    suite: str
    variant: Variant
    outcomes: Outcomes
    seconds: float


def run(folder: Path, suite: str, variant: Variant) -> Run:
    """Run `suite`, which stands in `folder`; raises SuiteBroken."""
    started = time.monotonic()
    command = ["-m", "tests.django_suites.child", suite, *(["--installed"] * variant.installed)]
    env = {
        "PYTHONPATH": search_path(ROOT),
        "DJANGO_SETTINGS_MODULE": f"{__package__}.settings.{variant.name}",
    }
    outcomes = outcomes_of(f"{suite} ({variant.name})", command, folder, env)
    return Run(suite=suite, variant=variant, outcomes=outcomes, seconds=time.monotonic() - started)


def outcomes_of(
    name: str, command: Sequence[str], folder: Path, env: Mapping[str, str], timeout_seconds: float = TIMEOUT_SECONDS
) -> Outcomes:
    """Return how the tests end that Python runs by `command` in `folder`; raise SuiteBroken where they do not tell.

    `env`: what is to be seen there beside the environment of this process.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "outcomes.json"
        ended = subprocess.run(
            [sys.executable, *command],
            check=False,
            cwd=folder,
            env={**os.environ, **env, OUTCOMES_VARIABLE: str(path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_seconds,
        )
        if not path.exists():
            raise SuiteBroken(f"{name} ended with {ended.returncode}:\n{ended.stdout[-4000:]}")
        outcomes: Outcomes = json.loads(path.read_text(encoding="utf-8"))
    return outcomes


def search_path(*folders: Path) -> str:
    """Return the PYTHONPATH of a suite that finds what is in `folders`."""
    # What the caller put on the path comes first: so may a changed copy of the package.
    return os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), *map(str, folders))))


def baseline(folder: Path, suite: str, *, anew: bool) -> Run:
    """Return how `suite` ends without us: kept per Django, Python and installed packages, since tests skip by these."""
    path = cache_folder() / f"baseline-{suite}-{_environment_key()}.json"
    if path.exists() and not anew:
        outcomes = json.loads(path.read_text(encoding="utf-8"))
        return Run(suite=suite, variant=BASELINE, outcomes=outcomes, seconds=0)
    found = run(folder, suite, BASELINE)
    path.write_text(json.dumps(found.outcomes), encoding="utf-8")
    return found


def _environment_key() -> str:
    packages = sorted(f"{package.name}=={package.version}" for package in metadata.distributions())
    text = "\n".join((django.get_version(), sys.version, *packages))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
