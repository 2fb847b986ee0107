"""How does whoever waits for a clone see how far it is?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from django_gmf_router.schemas.cloning.session import PROGRAMS, Session

# pg_dump copies tables by name, byte by byte, whatever the database's collation.
TABLES = """
SELECT relname, pg_table_size(oid) FROM pg_class WHERE relnamespace = %s AND relkind = 'r' ORDER BY relname COLLATE "C"
"""
# What pg_dump has read of a table; the server counts it by itself.
COPYING = """
SELECT c.relname, p.tuples_processed, p.bytes_processed, c.reltuples::bigint
FROM pg_stat_progress_copy p JOIN pg_stat_activity a ON a.pid = p.pid JOIN pg_class c ON c.oid = p.relid
WHERE a.application_name = %s AND p.command = 'COPY TO' AND p.datid = a.datid AND a.datname = current_database()
"""
LINE_SECONDS = 5.0


class Progress(Protocol):
    """What shows it."""

    def step(self, text: str) -> None:
        """Say what begins now."""
        ...

    def at(self, text: str, part: float) -> None:
        """Say where the step is, and which part of it is done, from 0 to 1."""
        ...


class Lines:
    """Plain lines: one a step, and one every few seconds of a long step."""

    def __init__(self, write: Callable[[str], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._next = 0.0

    def step(self, text: str) -> None:
        self._next = self._clock() + LINE_SECONDS
        self._write(text)

    def at(self, text: str, part: float) -> None:
        now = self._clock()
        if now >= self._next:
            self._next = now + LINE_SECONDS
            self._write(f"  {part:.0%}: {text}")


class Bar:
    """A bar of rich."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, at="")

    def step(self, text: str) -> None:
        self._bar.update(self._task, description=text, completed=0, total=None, at="")

    def at(self, text: str, part: float) -> None:
        self._bar.update(self._task, completed=part, total=1, at=f"{part:.0%}: {text}")


@contextmanager
def shown(write: Callable[[str], Any], *, terminal: bool) -> Iterator[Progress]:
    """Show progress on a terminal as a bar where rich is installed, else in lines."""
    try:
        from rich import progress  # noqa: PLC0415  (an extra, and slow to import)
    except ImportError:
        terminal = False
    if not terminal:
        yield Lines(write)
        return
    columns = (
        "{task.description}",
        progress.BarColumn(bar_width=20),
        "{task.fields[at]}",
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, transient=True) as bar:
        yield Bar(bar)


class Copying:
    """How far a dump of a schema is: it stands at one table, and is through with those before it."""

    def __init__(self, session: Session, oid: int, progress: Progress) -> None:
        """Weigh the tables by what they take on the disk: their rows may never have been counted."""
        self._session = session
        self._progress = progress
        rows = session.rows(TABLES, [oid])
        self._places = {
            name: (place, sum(size for _, size in rows[:place]), size) for place, (name, size) in enumerate(rows)
        }
        self._all = max(sum(size for _, size in rows), 1)

    def report(self) -> None:
        """Ask the server which table is being copied."""
        for table, rows, done_bytes, of in self._session.rows(COPYING, [PROGRAMS]):
            # One that was made since begins at once.
            place, before, size = self._places.get(table, (0, 0, 0))
            about = f" of about {of:,}" if of >= 0 else ""
            where = f"{table}, table {place + 1} of {len(self._places)}, {rows:,}{about} rows"
            self._progress.at(where, (before + min(done_bytes, size)) / self._all)
