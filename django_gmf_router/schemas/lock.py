"""Who may change the schemas of a database now? One at a time: gmf_migrate or clone_schema."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import InterfaceError, OperationalError

from django_gmf_router.exceptions import SchemasLocked

KEY = 0x676D665F736368  # "gmf_sch"; advisory locks belong to one database
POLL_SECONDS = 0.2


@contextmanager
def schemas_locked(connection: Any, *, waiting: Callable[[str], object] | None = None) -> Iterator[None]:
    """Hold the lock of the schemas in the session of `connection`, a Django connection wrapper, in autocommit.

    `waiting` is told once, in one line, when another holds it; without it SchemasLocked is raised then. The session
    has to stay open, and to be one session: no pooler that changes servers between statements.
    """
    if not _ask(connection, "pg_try_advisory_lock"):
        busy = f"Another gmf_migrate or clone_schema works on the database {connection.settings_dict['NAME']!r}"
        if waiting is None:
            raise SchemasLocked(f"{busy}: try again when it has ended.")
        waiting(f"{busy}: waiting until it has ended.")
        # Not pg_advisory_lock: a statement that waits holds a snapshot, and CREATE INDEX CONCURRENTLY in a migration
        # of the holder would wait for it in turn.
        while not _ask(connection, "pg_try_advisory_lock"):
            time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        # The lock of a session that is lost is free already.
        with suppress(OperationalError, InterfaceError):
            _ask(connection, "pg_advisory_unlock")


def _ask(connection: Any, function: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [KEY])
        return bool(cursor.fetchone()[0])
