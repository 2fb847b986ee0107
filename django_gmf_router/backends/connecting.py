"""How does an alias get a connection when nodes fail?"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from django_gmf_router.clusters import Cluster
from django_gmf_router.exceptions import PrimaryUnavailable
from django_gmf_router.postgres.libpq import CONNECT_TIMEOUT_SECONDS, complete_session, try_hosts
from django_gmf_router.postgres.sockets import is_gone
from django_gmf_router.postgres.sqlstates import (
    answer_of_the_server,
    cause_of,
    is_mistake,
    is_of_pool,
    is_refusal,
    is_standby,
    is_time_out,
)
from django_gmf_router.settings import configuration

RETRY_SECONDS = 0.1
POOL_SECONDS = 0.2
"""How long an empty pool is waited for before its server is asked without it."""
Connect = Callable[[dict[str, Any]], Any]


def connect(wrapper: Any, cluster: Cluster, params: dict[str, Any], own: Connect) -> tuple[str, Any]:
    """Return the node that `wrapper`, a Django connection wrapper, is connected to now, and the driver's connection.

    `own` connects to the alias' own node. Nothing was sent yet: to try the next node is always safe. Raises
    PrimaryUnavailable where a primary is needed and none can be had within PRIMARY_WAIT, or no node at all for a read;
    the driver's last error where a server answers that the settings are wrong.
    """
    attempt = Attempt(wrapper, cluster, params, own)
    if wrapper.alias != cluster.config.primary:
        if cluster.nodes.is_unknown(wrapper.alias):
            cluster.monitor.get_to_know(wrapper.alias)
        return attempt.any_node()
    return attempt.any_node() if cluster.reads.only_reads() else attempt.primary()


def begin_session(wrapper: Any, *, is_own_primary: bool) -> None:
    """Set in a session that was just opened what its node and its cluster's schemas ask for."""
    schemas = configuration.schemas_of(wrapper.alias)
    if schemas is not None or not is_own_primary:
        path = None if schemas is None else schemas.path
        with wrapper.wrap_database_errors:
            complete_session(wrapper.connection, read_only=not is_own_primary, path=path)


class Attempt:
    """One attempt to get a connection."""

    def __init__(self, wrapper: Any, cluster: Cluster, params: dict[str, Any], own: Connect) -> None:
        """Take what `connect` took."""
        self._wrapper = wrapper
        self._alias: str = wrapper.alias
        self._cluster = cluster
        self._params = params
        self._own = own
        self._pool: Any = getattr(wrapper, "pool", None)
        self._limit_seconds = float(params.get("connect_timeout") or CONNECT_TIMEOUT_SECONDS)
        self._timed_out = False
        # Whether a replica answered that does not see what is wanted.
        self._answered = False

    def any_node(self) -> tuple[str, Any]:
        """Connect to the first node that answers; after one time-out only the last resort is tried."""
        failure: Exception | None = None
        wrapper = self._wrapper
        known = self._cluster.nodes
        nodes = list(known.to_try(self._alias, wrapper.avoided, by_name=bool(self._pool), last=wrapper.is_last_move))
        for node in nodes:
            if (self._timed_out and node != nodes[-1]) or self._is_left_out(node):
                continue
            if node == self._cluster.config.primary != self._alias:
                self._cluster.policy.spill(wrapper)
            try:
                connection = self._connect(node)
            except self._wrapper.Database.OperationalError as error:
                failure = error
                continue
            if self._sees_what_is_wanted(node, connection):
                # What moves in the midst of a read is told there.
                if not wrapper.avoided:
                    known.stood_in(self._alias, node)
                return node, connection
            self._answered = True
            connection.close()
        primary = self._cluster.config.primary
        if failure is not None and is_mistake(failure, self._params):
            raise failure
        raise PrimaryUnavailable(primary, self._cause(failure)) from failure

    def _sees_what_is_wanted(self, node: str, connection: Any) -> bool:
        """Return whether the client may read on `node`: its own was chosen with care, any other has to be asked."""
        primary = self._cluster.config.primary
        if node == self._alias != primary:
            return True
        wanted = self._cluster.policy.wanted()
        if wanted is None:
            return True
        if node == primary:
            # It may follow another one by now.
            return not is_standby(connection, unsure=self._cluster.nodes.is_down(node))
        return self._cluster.pool.sees(node, connection, wanted)

    def primary(self) -> tuple[str, Any]:
        """Connect to the primary, waiting for one as long as PRIMARY_WAIT says."""
        deadline = time.monotonic() + self._cluster.config.primary_wait
        while True:
            try:
                return self._alias, self._connect(self._alias)
            except self._wrapper.Database.OperationalError as error:
                if is_mistake(error, self._params):
                    raise
                pause_seconds = random.uniform(RETRY_SECONDS / 2, RETRY_SECONDS)
                if time.monotonic() + pause_seconds > deadline:
                    raise PrimaryUnavailable(self._alias, self._cause(error)) from error
            time.sleep(pause_seconds)

    def _is_left_out(self, node: str) -> bool:
        if node == self._cluster.config.primary:
            # The last resort. Where replicas answer, but lack what this client wrote, it must not cost a time-out.
            return self._answered and node == self._alias and self._cluster.nodes.is_still_down(node)
        # Another thread may have found out meanwhile.
        return node != self._alias and self._cluster.nodes.is_down(node)

    def _connect(self, node: str) -> Any:
        began = time.monotonic()
        try:
            connection = self._driver_connection(node)
        except self._wrapper.Database.OperationalError as error:
            self._note(node, error, began)
            raise
        self._cluster.nodes.connected(node)
        return connection

    def _driver_connection(self, node: str) -> Any:
        if self._pool and node == self._alias:
            return self._pooled()
        driver = self._wrapper.Database
        if self._cluster.nodes.alias_of(node) == self._alias:
            return try_hosts(self._own, {**self._params, **self._cluster.nodes.address(node)}, driver)
        return try_hosts(self._wrapper.connect_past_pool, self._cluster.nodes.read_only_params(node), driver)

    def _pooled(self) -> Any:
        connection = self._from_pool()
        if is_gone(connection):
            # Opened before its server went, which libpq has not noticed: the pool throws away only what is closed. It
            # would wait for a new one; whether there is a server is told at once without it.
            connection.close()
            self._pool.putconn(connection)
            connection = self._wrapper.connect_past_pool(self._params)
        return connection

    def _from_pool(self) -> Any:
        # An empty pool waits for connections, half a minute by default, also where there is no server: ask for one.
        options = self._wrapper.settings_dict["OPTIONS"]["pool"]
        wanted = options.get("timeout", self._limit_seconds) if isinstance(options, dict) else self._limit_seconds
        deadline = time.monotonic() + min(wanted, self._limit_seconds)
        self._pool.timeout = min(self._pool.timeout, POOL_SECONDS)
        runs = False
        while True:
            try:
                return self._own(self._params)
            except self._wrapper.Database.OperationalError as error:
                if not is_of_pool(error) or time.monotonic() >= deadline:
                    raise
            if not runs:
                self._wrapper.Database.connect(**self._params).close()
                runs = True

    def _note(self, node: str, error: Exception, began: float) -> None:
        timed_out = is_time_out(error)
        self._timed_out |= timed_out or is_of_pool(error)
        if is_refusal(error):
            self._cluster.nodes.refused(node, answer_of_the_server(error))
        elif not is_of_pool(error):
            self._cluster.nodes.failed(node, self._cause(error), timed_out=timed_out, began=began)

    def _cause(self, error: Exception | None) -> str:
        return "" if error is None else cause_of(error, (self._params.get("password"),))
