"""What does a node say of itself? The only SQL about replication."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any

from django.db import Error as DjangoError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_gmf_router.postgres.positions import at_rest, number_of
from django_gmf_router.postgres.sockets import is_gone
from django_gmf_router.settings.values import Role

APPLICATION_NAME = "gmf_monitor"
LEAST_CONNECT_SECONDS = 2  # libpq waits no shorter
LONGEST_ERROR = 300
REFUSED = ("connection refused", "no such file or directory", "the database system is ")
LIBPQ_HINT = re.compile(r"\s*Is the server running .*?\?", re.DOTALL)
TIMED_OUT = ("timeout expired", "timed out")

IDENTITY = "SELECT system_identifier::text FROM pg_control_system()"
# The fence keeps one answer of pg_is_in_recovery() for the whole row: a promotion may come in between.
ROW = f"""
SELECT r,
       {number_of("CASE WHEN r THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END")},
       {number_of("CASE WHEN r THEN pg_last_wal_receive_lsn() END")},
       {number_of("CASE WHEN r THEN NULL ELSE pg_current_wal_flush_lsn() END")},
       CASE WHEN r THEN NULL ELSE pg_walfile_name(pg_current_wal_insert_lsn()) END,
       extract(epoch FROM pg_postmaster_start_time())::float8,
       CASE WHEN r THEN extract(epoch FROM clock_timestamp() - coalesce(
           pg_last_xact_replay_timestamp(), pg_postmaster_start_time())) END::float8,
       current_database()::text
FROM (SELECT pg_is_in_recovery() AS r OFFSET 0) AS node
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one measurement said; what a node cannot tell is None."""

    up: bool
    role: Role | None = None
    """By pg_is_in_recovery()."""
    position: int | None = None
    """A replica's replay position, a primary's insert position."""
    received: int | None = None
    """A replica's."""
    flushed: int | None = None
    """A primary's."""
    timeline: int | None = None
    system_identifier: str | None = None
    database: str | None = None
    """As the server calls it: a pooler may offer it under another name."""
    started: float | None = None
    """When the server started, in wall-clock seconds."""
    replay_age: float | None = None
    """Seconds since the last transaction that a replica replayed, else since its start, by the servers' clocks."""
    error: str | None = None
    """One line without a password."""
    timed_out: bool = False
    refused: bool = False
    members: tuple[str, ...] | None = None
    """The nodes of an alias that is several servers, where its name was looked up."""


class Probe:
    """One connection of its own to one alias; all but `abort` belongs to one thread.

    It is made with the driver alone: neither a connection pool, nor a backend that connects elsewhere, nor the guard
    takes part.
    """

    def __init__(self, alias: str, timeout_seconds: float = 2.0, address: Mapping[str, str] | None = None) -> None:
        """Open nothing yet; `address`: the driver's parameters of one server of an alias that is several."""
        self.alias = alias
        self._address = address or {}
        self._connect_seconds = max(LEAST_CONNECT_SECONDS, ceil(timeout_seconds))
        self._wrapper: Any = None
        self._connection: Any = None
        self._identifier: str | None = None
        self._role: Role | None = None
        self._socket: socket.socket | None = None
        self.connecting_seconds: float | None = None
        """While it connects: how many seconds the addresses of its host may take, after the first of them."""
        self._aborted = False
        # Between `abort` and `close`: a descriptor that was closed may be another's by then.
        self._lock = threading.Lock()

    def read(self) -> Reading:
        """Measure once; connects if need be, and anew where the connection that was held is dead."""
        self._aborted = False
        if self._wrapper is None:
            self._wrapper = connections.create_connection(self.alias)
            self._wrapper.inc_thread_sharing()
        if self._wrapper.vendor != "postgresql":
            return self._select()
        was_open = self._connection is not None
        reading = self._ask()
        if was_open and not reading.up and not self._aborted:
            reading = self._ask()
        elif was_open and reading.role != self._role:
            # An election: the name may lead to another server by now. A new connection tells.
            self.close()
        self._role = reading.role
        return reading

    def is_connected(self) -> bool:
        """Return, in any thread, whether the server has not closed this connection: one system call."""
        with self._lock:
            return self._socket is not None and not is_gone(self._socket)

    def abort(self) -> None:
        """Let a read that is blocked in another thread fail at once."""
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            connection, self._connection = self._connection, None
            duplicate, self._socket = self._socket, None
            if duplicate is not None:
                duplicate.close()
        if connection is not None:
            with suppress(self._wrapper.Database.Error):
                connection.close()
        elif self._wrapper is not None and self._wrapper.vendor != "postgresql":
            # SQLite's own `close` leaves a database in memory open; this connection is not the one that keeps it.
            BaseDatabaseWrapper.close(self._wrapper)

    def _ask(self) -> Reading:
        try:
            if self._connection is None:
                self._connect()
            with self._connection.cursor() as cursor:
                cursor.execute(ROW)
                return _reading(cursor.fetchone(), self._identifier)
        except self._wrapper.Database.Error as error:
            self.close()
            return failed(error, self._wrapper.settings_dict)

    def _connect(self) -> None:
        driver, parameters = self._wrapper.Database, self._parameters()
        self.connecting_seconds = 0.0
        try:
            self.connecting_seconds = parameters["connect_timeout"] * (_count_addresses(parameters) - 1)
            connection = driver.connect(**parameters)
        finally:
            self.connecting_seconds = None
        with self._lock:
            self._connection = connection
            self._socket = socket.socket(fileno=os.dup(connection.fileno()))
            # Given up while it connected: nobody would come to free it again.
            if self._aborted:
                raise driver.OperationalError("The probe was given up while it connected.")
        connection.autocommit = True
        self._identifier = self._identify()

    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = self._wrapper.get_connection_params()
        given = int(parameters.get("connect_timeout") or 0)
        seconds = min(given, self._connect_seconds) if given > 0 else self._connect_seconds
        return {**parameters, **self._address, "connect_timeout": seconds, "application_name": APPLICATION_NAME}

    def _identify(self) -> str | None:
        """Ask once for each connection; where the function is revoked nobody can tell."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(IDENTITY)
                identifier: str = cursor.fetchone()[0]
                return identifier
        except self._wrapper.Database.Error:
            return None

    def _select(self) -> Reading:
        try:
            with self._wrapper.cursor() as cursor:
                cursor.execute("SELECT 1")
                return Reading(up=True)
        except DjangoError as error:
            self.close()
            return failed(error, self._wrapper.settings_dict)


def _count_addresses(parameters: Mapping[str, Any]) -> int:
    """Return how many addresses libpq tries, each for connect_timeout (manual, "Specifying Multiple Hosts")."""
    if parameters.get("hostaddr"):
        return len(str(parameters["hostaddr"]).split(","))
    return sum(map(_count_addresses_of, str(parameters.get("host") or "").split(",")))


def _count_addresses_of(host: str) -> int:
    if not host or host[0] in "/@":
        return 1
    try:
        return len({found[4][0] for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except OSError:
        return 1


def failed(error: Exception, settings: dict[str, Any]) -> Reading:
    """Return the reading of a node that gave this error; `settings` is its entry of DATABASES."""
    text = " ".join(LIBPQ_HINT.sub("", str(error)).split()) or type(error).__name__
    for secret in {settings.get("PASSWORD"), settings.get("OPTIONS", {}).get("password")} - {None, ""}:
        text = text.replace(str(secret), "***")
    lower = text.lower()
    return Reading(
        up=False,
        error=text[:LONGEST_ERROR],
        timed_out=any(words in lower for words in TIMED_OUT),
        refused=any(words in lower for words in REFUSED),
    )


def _reading(row: tuple[Any, ...], identifier: str | None) -> Reading:
    in_recovery, position, received, flushed, walfile, started, replay_age, database = row
    return Reading(
        up=True,
        role=Role.REPLICA if in_recovery else Role.PRIMARY,
        position=position if in_recovery or position is None else at_rest(position),
        received=received,
        flushed=flushed,
        timeline=int(walfile[:8], 16) if walfile else None,
        system_identifier=identifier,
        database=database,
        started=started,
        replay_age=replay_age,
    )
