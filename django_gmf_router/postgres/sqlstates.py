"""What kind of failure is a database error?

By SQLSTATE, as the PostgreSQL manual's appendix A lists them; by its words where libpq gives none: while connecting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import DatabaseError, Error, InterfaceError, OperationalError

READ_ONLY_SQL_TRANSACTION = "25006"
# Shutdown by an administrator, crash of another process, not accepting connections.
SERVER_GOES = {"57P01", "57P02", "57P03"}
# On a hot standby, a statement in the way of replay; a deadlock with replay over a buffer. A time-out of the site's own
# (57014) is none: PostgreSQL gives it to no conflict (postgres.c, ProcessInterrupts; standby.c).
RECOVERY_CONFLICTS = {"40001", "40P01"}
# libpq's PGTransactionStatusType: PQTRANS_IDLE, PQTRANS_INERROR.
IDLE, FAILED = 0, 3
# Classes: no privilege or no such function, not supported, not in this state. Aurora says each of them.
_REFUSED_FACT = ("42", "0A", "55")

# libpq puts the severity, in the language of the server, a colon and two spaces before what a server answered. Nothing
# that it says itself looks so (fe-protocol3.c, pqBuildErrorMessage3).
_ANSWER = re.compile(r"(?:^|: )([^\s:]+):  (.+)", re.MULTILINE)
# The server is well and the settings are wrong. In any language such an answer names the role or the database.
_MISTAKEN = re.compile(r"authentication|parameter|does not exist|no such |not permitted|permission|pg_hba|protocol")
# PostgreSQL's and PgBouncer's words for "not now", which may name the role or the database as well.
_NOT_NOW = re.compile(
    r"the database system is|too many (?:clients|connections)|connection slots|no more connections|server login"
    r"|cannot connect to server|query_wait_timeout|shutting down"
)
_AWAY = re.compile(r"the database system is|server login|cannot connect to server|query_wait_timeout")
_DEAD = re.compile(
    r"connection refused|no such file or directory|closed the connection|connection (?:is closed|is lost|reset)"
    r"|already closed|server login|cannot connect to server|query_wait_timeout",
    re.IGNORECASE,
)
_TIMED_OUT = re.compile(r"timeout expired|timed out", re.IGNORECASE)
_HINT = re.compile(r"\s*Is the server running .*?\?", re.DOTALL)
LONGEST_CAUSE = 300


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error of Django or its driver, psycopg 3 or psycopg2; None where there is none."""
    cause = error.__cause__ or error
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def is_lost(error: Error, connection: Any) -> bool:
    """Return whether `error` means that `connection`, the driver's, is no more; None: there was none yet."""
    state = sqlstate(error) or ""
    if connection is None:
        return False
    # psycopg2 raises the bare class where libpq has lost the server and not noted it yet: no server sent that.
    if type(error) is DatabaseError and not state:
        return True
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return state.startswith("08") or state in SERVER_GOES or bool(connection.closed)


def is_movable(error: Error, connection: Any) -> bool:
    """Return whether a read that failed so may succeed on another node."""
    return is_lost(error, connection) or is_conflict(error)


def is_conflict(error: Error) -> bool:
    """Return whether a standby cancelled a read that was in the way of replay; its language does not matter."""
    return sqlstate(error) in RECOVERY_CONFLICTS


def is_changed_plan(error: Error) -> bool:
    """Return whether a prepared statement ends here: a type of its result is another one since a schema was replaced.

    The SQLSTATE (0A000) says no more than "not supported", and the message is in the language of the server.
    """
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "source_function", None) == "RevalidateCachedQuery"


def is_idle(connection: Any) -> bool:
    """Return whether the driver's `connection` is in no transaction, without a query; both drivers count from idle."""
    return int(connection.info.transaction_status) == IDLE


def is_failed(connection: Any) -> bool:
    """Return whether the driver's `connection` is in a transaction that has failed, without a query."""
    return int(connection.info.transaction_status) == FAILED


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


def answer_of_the_server(error: BaseException) -> str:
    """Return what a server answered to an attempt to connect; empty where none did."""
    found = _ANSWER.findall(str(error))
    return found[-1][1].strip() if found else ""


def is_refusal(error: BaseException) -> bool:
    """Return whether a failed attempt to connect was refused by a server that runs: too many clients, no such role.

    One that is starting up or shutting down, or a pooler without a server, cannot be had, as if it were dead.
    """
    answer = answer_of_the_server(error)
    return bool(answer) and not _AWAY.search(answer)


def is_mistake(error: BaseException, params: Mapping[str, Any]) -> bool:
    """Return whether a server refused a connection since the settings are wrong, the driver's `params`: no outage.

    A language that nobody here knows is told by what it names. "The database system is starting up" names nothing.
    """
    answer = answer_of_the_server(error)
    if not answer or _NOT_NOW.search(answer):
        return False
    names = {str(params[key]) for key in ("user", "dbname") if params.get(key)}
    return any(re.search(rf"\W{re.escape(name)}\W", f" {answer} ") for name in names) or bool(_MISTAKEN.search(answer))


def is_time_out(error: BaseException) -> bool:
    """Return whether an attempt to connect took longer than `connect_timeout`, as the driver says."""
    return bool(_TIMED_OUT.search(str(error)))


def is_refused_fact(error: BaseException) -> bool:
    """Return whether a server that answers will not tell what it was asked, to this role or to nobody."""
    return (sqlstate(error) or "").startswith(_REFUSED_FACT)


def is_dead(cause: str) -> bool:
    """Return whether a probe's failure means that sessions there are no more: closed, refused; not late, not full."""
    return bool(_DEAD.search(cause))


def cause_of(error: BaseException, secrets: Iterable[object] = ()) -> str:
    """Return a driver's words in one line, without libpq's hint and without `secrets`."""
    text = " ".join(_HINT.sub("", str(error)).split()) or type(error).__name__
    for secret in filter(None, secrets):
        text = text.replace(str(secret), "***")
    return text[:LONGEST_CAUSE]


def is_of_pool(error: BaseException) -> bool:
    """Return whether psycopg's pool failed: exhausted, closed. That says nothing about its node."""
    return type(error).__module__.startswith("psycopg_pool")
