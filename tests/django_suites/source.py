"""Where is the test suite of an installed package? In its source distribution, fetched once into a cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import django

CACHE_VARIABLE = "GMF_DJANGO_SUITES_CACHE"


class SourceMissing(Exception):
    """pip could not fetch the source distribution."""


def cache_folder() -> Path:
    """Return the folder that keeps what was fetched: named by the environment, else in the venv, else temporary."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    in_venv = sys.prefix != sys.base_prefix
    return Path(sys.prefix if in_venv else tempfile.gettempdir()) / ".django-suites"


def suites_folder() -> Path:
    """Return the `tests` folder of the source of the installed Django."""
    return source_folder("Django", django.get_version(), "tests")


def source_folder(package: str, version: str, name: str) -> Path:
    """Return the folder `name` of the source of a package, fetched if it is not in the cache; raise SourceMissing.

    Beside it stands what says how pytest runs it, pyproject.toml.
    """
    folder = cache_folder() / f"{package.lower()}-{version}"
    if not folder.exists():
        print(f"* Fetching the source distribution of {package} {version}", flush=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            _fetch(package, version, Path(scratch))
            # In one step, so that a run that was stopped leaves no half of it.
            _unpack(Path(scratch), name).rename(folder)
    return folder / name


def _fetch(package: str, version: str, scratch: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", package, "--dest", str(scratch), f"{package}=={version}"]
    fetched = subprocess.run(command, check=False, capture_output=True, text=True)
    if fetched.returncode:
        raise SourceMissing(f"pip could not fetch the source of {package} {version}:\n{fetched.stderr.strip()}")


def _unpack(scratch: Path, name: str) -> Path:
    [archive] = scratch.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        wanted = [member for member in tar if Path(member.name).parts[1:2] in {(name,), ("pyproject.toml",)}]
        tar.extractall(scratch, members=wanted, filter="data")
    [folder] = (path for path in scratch.iterdir() if path.is_dir())
    return folder
