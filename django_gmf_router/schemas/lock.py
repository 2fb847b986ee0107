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
LIMITS = (
    "statement_timeout",
    "idle_session_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
)
# How pg_locks shows a key of 64 bits: by halves.
HELD = """
SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
      AND (classid::bigint << 32) + objid::bigint = %s AND objsubid = 1
)
"""


@contextmanager
def schemas_locked(connection: Any, *, waiting: Callable[[str], object] | None = None) -> Iterator[None]:
    """Hold the lock of the schemas in the session of `connection`, a Django connection wrapper, in autocommit.

    `waiting` is told once, in one line, when another holds it; without it raise SchemasLocked then. The session has to
    stay open, and to be one session: no pooler that changes servers between statements.
    """
    # The lock ends with its session, which idles while it is held: a time limit of the role would end both.
    lift_limits(connection)
    if not _ask(connection, "SELECT pg_try_advisory_lock(%s)"):
        busy = f"Another gmf_migrate or clone_schema works on the database {connection.settings_dict['NAME']!r}"
        if waiting is None:
            raise SchemasLocked(f"{busy}: try again when it has ended.")
        waiting(f"{busy}: waiting until it has ended.")
        # Not pg_advisory_lock: a statement that waits holds a snapshot, and CREATE INDEX CONCURRENTLY in a migration
        # of the holder would wait for it in turn.
        while not _ask(connection, "SELECT pg_try_advisory_lock(%s)"):
            time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        # The lock of a session that is lost is free already.
        with suppress(OperationalError, InterfaceError):
            _ask(connection, "SELECT pg_advisory_unlock(%s)")


def lift_limits(connection: Any) -> None:
    """Let the session of `connection` work and idle as long as it has to; not every server knows every limit."""
    _ask(connection, "SELECT count(set_config(name, '0', false)) FROM pg_settings WHERE name = ANY(%s)", list(LIMITS))


def is_held(connection: Any) -> bool:
    """Return whether the session of `connection` has the lock still: a session may be lost unnoticed."""
    try:
        return _ask(connection, HELD)
    except (OperationalError, InterfaceError):
        return False


def _ask(connection: Any, sql: str, param: Any = KEY) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, [param])
        return bool(cursor.fetchone()[0])
