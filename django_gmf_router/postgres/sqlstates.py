"""What kind of failure is a database error? By SQLSTATE, as the PostgreSQL manual's appendix A lists them."""

from __future__ import annotations

from typing import Any

from django.db import Error, InterfaceError, OperationalError

READ_ONLY_SQL_TRANSACTION = "25006"
# Shutdown by an administrator, crash of another process, not accepting connections.
SERVER_GOES = {"57P01", "57P02", "57P03"}
# Serialization failure: on a hot standby, a statement in the way of replay.
RECOVERY_CONFLICT = "40001"


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of a Django database error, from psycopg 3 or psycopg2; None where there is none."""
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def is_lost(error: Error, connection: Any) -> bool:
    """Return whether `error` means that `connection`, the driver's, is no more."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = sqlstate(error)
    if state is not None:
        return state.startswith("08") or state in SERVER_GOES
    return connection is None or bool(connection.closed)


def is_movable(error: Error, connection: Any) -> bool:
    """Return whether a read that failed so may succeed on another node."""
    return is_lost(error, connection) or sqlstate(error) == RECOVERY_CONFLICT


def is_changed_plan(error: Error) -> bool:
    """Return whether a prepared statement ends here: a type of its result is another one since a schema was replaced.

    The SQLSTATE (0A000) says no more than "not supported", and the message is in the language of the server.
    """
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "source_function", None) == "RevalidateCachedQuery"


def is_idle(connection: Any) -> bool:
    """Return whether the driver's `connection` is in no transaction, without a query; both drivers count from idle."""
    return int(connection.info.transaction_status) == 0


def is_standby(connection: Any, *, unsure: bool) -> bool:
    """Return whether the server behind the driver's `connection` says that it is in recovery, without a query.

    PostgreSQL 14 and later report `in_hot_standby`; unsure: what to answer for an older one.
    """
    info = getattr(connection, "info", None)
    report = getattr(info, "parameter_status", None)
    if report is None:
        return False
    reported = report("in_hot_standby")
    return bool(reported == "on" if reported else unsure)


def is_refused_write(error: BaseException) -> bool:
    """Return whether the server refused to write since its transaction is read-only."""
    return sqlstate(error) == READ_ONLY_SQL_TRANSACTION


def server_answered(error: BaseException) -> bool:
    """Return whether a failed attempt to connect was refused by a server that runs: too many clients, no such role.

    One that is starting up or shutting down says "the database system is ...": it cannot be had, as if it were dead.
    """
    text = str(error)
    return "FATAL" in text and "the database system is" not in text


def words_of_the_server(error: BaseException) -> str:
    """Return why a server that answered refused the connection, without the address that drivers put before it."""
    return str(error).rpartition("FATAL:")[2].strip().partition("\n")[0]


def is_of_pool(error: BaseException) -> bool:
    """Return whether psycopg's pool failed: exhausted, closed. That says nothing about its node."""
    return type(error).__module__.startswith("psycopg_pool")
