"""How is a node asked what it is? The only SQL about replication."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from math import ceil
from typing import Any

from django.db import Error as DjangoError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_gmf_router.postgres.dialects import (
    AURORA,
    IDENTIFY,
    IDENTITY,
    IS_AURORA,
    OTHER,
    POSTGRESQL,
    Dialect,
)
from django_gmf_router.postgres.libpq import try_hosts
from django_gmf_router.postgres.sockets import is_gone
from django_gmf_router.postgres.sqlstates import is_refused_fact
from django_gmf_router.replicas.readings import Reading, failed, reading_of, value_of
from django_gmf_router.settings.values import Role

APPLICATION_NAME = "gmf_monitor"
LEAST_CONNECT_SECONDS = 2  # libpq waits no shorter


class Probe:
    """One connection of its own to one alias; all but `abort` belongs to one thread.

    It is made with the driver alone: neither a connection pool, nor a backend that connects elsewhere, nor the guard
    takes part. Once it is connected psycopg 3 lets one thread ask many: `send`, and `receive` until it is there.
    """

    def __init__(self, alias: str, timeout_seconds: float = 2.0, address: Mapping[str, str] | None = None) -> None:
        """Open nothing yet; `address`: the driver's parameters of one server of an alias that is several."""
        self.alias = alias
        self._address = address or {}
        self._connect_seconds = max(LEAST_CONNECT_SECONDS, ceil(timeout_seconds))
        self._wrapper: Any = None
        self._connection: Any = None
        self._cursor: Any = None
        self._dialect = POSTGRESQL
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
        # The connection that was held may have died with a restart: that says nothing of now.
        if was_open and not reading.up and not self._aborted:
            reading = self._ask()
        elif was_open:
            self._leave_another(reading)
        self._role = reading.role
        return reading

    def send(self) -> bool:
        """Ask without waiting for the answer; return whether that can be done, or `read` is needed."""
        pgconn = getattr(self._connection, "pgconn", None)
        if pgconn is None:
            return False
        self._aborted = False
        try:
            pgconn.send_query(self._dialect.row.encode())
            # What the socket does not take now goes with the flush of `receive`.
            pgconn.flush()
        except self._wrapper.Database.Error:
            return False
        return True

    def receive(self) -> Reading | None:
        """Return the answer to what was sent, None while it is not there; what is not up has to be asked by `read`."""
        pgconn = self._connection.pgconn
        try:
            pgconn.flush()
            pgconn.consume_input()
            if pgconn.is_busy():
                return None
            result = pgconn.get_result()
            # libpq sends nothing new before its last result, which is None, was fetched.
            while pgconn.get_result() is not None:
                pass
        except self._wrapper.Database.Error as error:
            return failed(error, self._wrapper.settings_dict)
        if not result.ntuples:
            # A function was revoked meanwhile, or the server ends the session.
            return Reading(up=False, error=result.error_message.decode(errors="replace"))
        values = [value_of(result, column) for column in range(result.nfields)]
        reading = reading_of(dict(zip(self._dialect.facts, values, strict=True)), self._dialect, self._identifier)
        self._leave_another(reading)
        self._role = reading.role
        return reading

    def _leave_another(self, reading: Reading) -> None:
        """After an election the name may lead to another server by now: a new connection tells."""
        if reading.role != self._role:
            self.close()

    def ask(self, facts: Mapping[str, str], *parameters: object) -> dict[str, Any]:
        """Return what else a server tells that has answered, by the names of `facts`; what it refuses is left out.

        Not for what is asked time after time. Raise the driver's error where the connection fails.
        """
        try:
            self._cursor.execute(f"SELECT {', '.join(facts.values())}", parameters or None)
            return dict(zip(facts, self._cursor.fetchone(), strict=True))
        except self._wrapper.Database.Error as error:
            if not is_refused_fact(error):
                raise
        if len(facts) == 1:
            return {}
        return {name: told for fact in facts.items() for name, told in self.ask(dict([fact]), *parameters).items()}

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
            return reading_of(self._facts(), self._dialect, self._identifier)
        except self._wrapper.Database.Error as error:
            self.close()
            return failed(error, self._wrapper.settings_dict)

    def _connect(self) -> None:
        driver, parameters = self._wrapper.Database, self._parameters()
        self.connecting_seconds = 0.0
        try:
            self.connecting_seconds = parameters["connect_timeout"] * (_count_addresses(parameters) - 1)
            connection = try_hosts(lambda each: driver.connect(**each), parameters, driver)
        finally:
            self.connecting_seconds = None
        with self._lock:
            self._connection = connection
            # A duplicate: `abort` shuts it from another thread, whether or not the driver has closed its own by then.
            self._socket = socket.socket(fileno=os.dup(connection.fileno()))
            # Given up while it connected: nobody would come to free it again.
            if self._aborted:
                raise driver.OperationalError("The probe was given up while it connected.")
        connection.autocommit = True
        self._cursor = connection.cursor()
        self._identifier = self._identify()
        self._dialect = self._identified(POSTGRESQL)

    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = self._wrapper.get_connection_params()
        given = int(parameters.get("connect_timeout") or 0)
        # To libpq 0 is for ever, and so is none at all.
        seconds = min(given, self._connect_seconds) if given > 0 else self._connect_seconds
        return {**parameters, **self._address, "connect_timeout": seconds, "application_name": APPLICATION_NAME}

    def _identify(self) -> str | None:
        """Ask once for each connection; where the function is revoked nobody can tell."""
        try:
            (identifier,) = self._fetch(IDENTIFY)
        except self._wrapper.Database.Error:
            # A pooler takes connections for a server that is dead: its words say so, and end the connection.
            if self._connection.closed:
                raise
            return None
        return str(identifier)

    def _identified(self, dialect: Dialect) -> Dialect:
        return dialect.without(IDENTITY) if self._identifier is None else dialect

    def _facts(self) -> dict[str, Any]:
        try:
            return self._told(self._dialect)
        except self._wrapper.Database.Error as error:
            if not is_refused_fact(error):
                raise
        # Once for each connection: a role may be granted it later.
        self._find_out()
        return self._told(self._dialect)

    def _find_out(self) -> None:
        """Ask for each fact alone: what a server refuses costs that fact, and no more."""
        dialect = self._identified(AURORA if self._tells(IS_AURORA) else POSTGRESQL)
        for function in dialect.facts:
            if not self._tells(dialect.only(function).row):
                dialect = dialect.without(function)
        self._dialect = dialect if dialect.facts.keys() - OTHER.facts else replace(OTHER, refused=dialect.refused)

    def _tells(self, sql: str) -> bool:
        try:
            self._fetch(sql)
        except self._wrapper.Database.Error as error:
            if not is_refused_fact(error):
                raise
            return False
        return True

    def _told(self, dialect: Dialect) -> dict[str, Any]:
        return dict(zip(dialect.facts, self._fetch(dialect.row), strict=True))

    def _fetch(self, sql: str) -> Any:
        self._cursor.execute(sql)
        return self._cursor.fetchone()

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
