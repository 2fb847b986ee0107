"""How does whoever waits for a clone see how far it is?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from django_gmf_router.schemas.cloning.session import PROGRAMS, Session

# The rows that pg_dump has read and psql has written; the server counts them by itself.
COPYING = """
SELECT c.relname, p.tuples_processed, greatest(c.reltuples, 0)::bigint
FROM pg_stat_progress_copy p JOIN pg_stat_activity a ON a.pid = p.pid JOIN pg_class c ON c.oid = p.relid
WHERE a.application_name = %s AND p.command = 'COPY TO' AND p.datid = a.datid AND a.datname = current_database()
"""
LINE_SECONDS = 5.0


class Progress(Protocol):
    """What shows it."""

    def step(self, text: str) -> None:
        """Say what begins now."""
        ...

    def copying(self, table: str, rows: int, of: int) -> None:
        """Say how many rows of a table were copied, of about how many."""
        ...


class Lines:
    """Plain lines: one a step, one a table, one every few seconds of a long table."""

    def __init__(self, write: Callable[[str], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._table: str | None = None
        self._next = 0.0

    def step(self, text: str) -> None:
        self._write(text)

    def copying(self, table: str, rows: int, of: int) -> None:
        now = self._clock()
        if table != self._table or now >= self._next:
            self._table, self._next = table, now + LINE_SECONDS
            self._write(f"  {table}: {rows:,} of about {of:,} rows")


class Bar:
    """A bar of rich."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None)

    def step(self, text: str) -> None:
        self._bar.update(self._task, description=text, completed=0, total=None)

    def copying(self, table: str, rows: int, of: int) -> None:
        self._bar.update(self._task, description=table, completed=rows, total=max(rows, of))


@contextmanager
def shown(write: Callable[[str], Any], *, terminal: bool) -> Iterator[Progress]:
    """Show progress on a terminal as a bar where rich is installed, else in lines."""
    progress = _rich() if terminal else None
    if progress is None:
        yield Lines(write)
        return
    columns = ("{task.description}", progress.BarColumn(), progress.TextColumn("{task.completed:,.0f} rows"))
    with progress.Progress(*columns, progress.TimeElapsedColumn(), transient=True) as bar:
        yield Bar(bar)


def _rich() -> Any:
    """Return rich's module of progress bars, None where it is not installed."""
    try:
        from rich import progress  # noqa: PLC0415  (an extra, and slow to import)
    except ImportError:
        return None
    return progress


def report(session: Session, progress: Progress) -> None:
    """Ask the server which table is being copied."""
    for table, rows, of in session.rows(COPYING, [PROGRAMS]):
        progress.copying(table, rows, of)
