"""How do those who change schemas speak with the primary: one at a time, in sessions of their own, by programs?"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import Error, InterfaceError, OperationalError, connections

from django_gmf_router.exceptions import CloneRefused, SchemasLocked
from django_gmf_router.postgres.sqlstates import sqlstate

APPLICATION = "clone_schema"
PROGRAMS = "clone_schema's program"
LOCK_TIMEOUT_MS = 200
"""The longest that a change waits for a lock, and with it whoever stands behind it."""
PATIENCE_SECONDS = 60.0
"""How long such changes are tried again."""
LOCK_WAIT_MS = 60_000
"""The longest that what only reads waits: whoever changes the source and does not end must not stop all for ever."""
PAUSE_SECONDS = 0.2
LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"
# Of a site's OPTIONS: a pool would be given our settings back, the others change how statements are sent.
NOT_OURS = ("pool", "server_side_binding", "prepare_threshold")
# libpq's manual names the variable of each parameter ("Environment Variables"): by rule, but for these.
ODD_VARIABLES = {"dbname": "PGDATABASE", "connect_timeout": "PGCONNECT_TIMEOUT"}
# A password goes by its own way, and what a service said is among the other parameters.
NOT_HANDED_ON = {"password", "sslpassword", "service"}


class Session:
    """A connection of the clone's own, in autocommit."""

    def __init__(self, alias: str) -> None:
        """Connect as the alias does."""
        self.wrapper: Any = connections[alias].copy()
        options = self.wrapper.settings_dict["OPTIONS"]
        for name in NOT_OURS:
            options.pop(name, None)
        self.role: str | None = options.get("assume_role")
        self.wrapper.ensure_connection()
        self.run(f"SET application_name = '{APPLICATION}'")
        lift_limits(self.wrapper)
        self.run(f"SET lock_timeout = {LOCK_WAIT_MS}")
        # So that the server lets go of the lock soon after this process is killed; not every platform can look.
        with suppress(Error):
            self.run("SET client_connection_check_interval = 500")
        # So that definitions name each object with its schema.
        self.rows("SELECT set_config('search_path', '', false)")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.wrapper.close()
        if isinstance(error, OperationalError) and sqlstate(error) == LOCK_NOT_AVAILABLE:
            reason = f"Something that clone_schema has to read stayed locked for {LOCK_WAIT_MS / 1000:g} s"
            raise CloneRefused(f"{reason}: end the long transactions there, then try again.") from error

    def run(self, sql: str) -> None:
        """Run a statement."""
        with self.wrapper.cursor() as cursor:
            cursor.execute(sql)

    def rows(self, sql: str, params: Any = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.wrapper.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())

    def value(self, sql: str, params: Any = None) -> Any:
        """Return the first column of a query's first row, None without one."""
        rows = self.rows(sql, params)
        return rows[0][0] if rows else None

    def column(self, sql: str, params: Any = None) -> list[Any]:
        """Return the first column of a query's rows."""
        return [row[0] for row in self.rows(sql, params)]

    def change(self, what: str, change: Callable[[], None]) -> None:
        """Run a change in a transaction that waits for no lock long, again and again; raise CloneRefused in the end.

        Whoever comes behind a statement that waits for a lock waits too: so it gives up soon, and lets them pass.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self._transaction():
                    return change()
            except OperationalError as error:
                if sqlstate(error) not in {LOCK_NOT_AVAILABLE, DEADLOCK}:
                    raise
                if time.monotonic() > deadline:
                    reason = f"could not {what}: what it needs stayed locked for {PATIENCE_SECONDS:g} s"
                    raise CloneRefused(f"{reason}; end the long transactions there, then try again.") from error
            time.sleep(random.uniform(PAUSE_SECONDS / 2, PAUSE_SECONDS))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.run("BEGIN")
        try:
            self.run(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
            yield
            self.run("COMMIT")
        except BaseException:
            with suppress(Error):
                self.run("ROLLBACK")
            raise

    def environment(self) -> dict[str, str]:
        """Return the environment in which PostgreSQL's programs connect as this session: no password is an argument."""
        info = self.wrapper.connection.info
        known = info.get_parameters() if hasattr(info, "get_parameters") else info.dsn_parameters
        ours = {
            ODD_VARIABLES.get(name, f"PG{name.replace('_', '').upper()}"): str(value)
            for name, value in known.items()
            if value and name not in NOT_HANDED_ON
        }
        if info.password:
            ours["PGPASSWORD"] = info.password
        if info.host and "PGHOSTADDR" not in ours:
            # Of several hosts the one that was reached: others may be replicas, after an election the first one too.
            ours |= {"PGHOST": info.host, "PGPORT": str(info.port)}
        # A name may have several addresses.
        ours["PGTARGETSESSIONATTRS"] = "read-write"
        # What such a database holds need not be text, so nothing can convert it.
        encoding = "SQL_ASCII" if info.parameter_status("server_encoding") == "SQL_ASCII" else "UTF8"
        # The caller's own PG* variables may speak of another server.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, **ours, "PGAPPNAME": PROGRAMS, "PGCLIENTENCODING": encoding, "LC_ALL": "C"}


def literal(text: str | None) -> str:
    """Return a string as SQL reads it, whatever `standard_conforming_strings` says."""
    if text is None:
        return "NULL"
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'" if "\\" in text else f"'{escaped}'"


# The lock of the schemas: one at a time changes them, gmf_migrate or clone_schema.

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
