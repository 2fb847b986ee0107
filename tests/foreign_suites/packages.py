"""Where are the packages that a foreign suite tests and needs? In a folder of their own, filled once."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import django

from tests.django_suites.source import SourceMissing, cache_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package whose own tests are run, at the version whose tests are known here."""

    name: str
    version: str
    needs: tuple[str, ...]
    """What its tests need beside it, for pip."""


def packages_folder(package: Package) -> Path:
    """Return a folder for PYTHONPATH with `package` and all that it needs; raise SourceMissing.

    It has a Django of its own, of the version that is installed, since pip puts there all that is asked of it: nothing
    that a foreign site needs comes into the environment of this one.
    """
    folder = cache_folder() / f"{package.name}-{package.version}-packages-django-{django.get_version()}"
    if not folder.exists():
        print(f"* Installing {package.name} {package.version}, and what its tests need, beside this site", flush=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            _install(package, Path(scratch) / "packages")
            # In one step, so that a run that was stopped leaves no half of it.
            (Path(scratch) / "packages").rename(folder)
    return folder


def _install(package: Package, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--no-warn-conflicts", "--target", str(folder), f"Django=={django.get_version()}"]
    command += [f"{package.name}=={package.version}", *package.needs]
    installed = subprocess.run(command, check=False, capture_output=True, text=True)
    if installed.returncode:
        raise SourceMissing(f"pip could not install {package.name} {package.version}:\n{installed.stderr.strip()}")
