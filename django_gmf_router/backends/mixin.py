"""What does this package add to a PostgreSQL database backend? The connection edge; no policy.

For the backend of another package, three lines:

    class DatabaseWrapper(ReplicaConnectionMixin, base.DatabaseWrapper):
        pass

"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error

from django_gmf_router import clusters
from django_gmf_router.backends.connecting import begin_session, connect
from django_gmf_router.backends.cursors import MovingCursor, moving
from django_gmf_router.backends.session_state import SessionStateMixin
from django_gmf_router.clusters import Cluster
from django_gmf_router.exceptions import PrimaryUnavailable
from django_gmf_router.postgres.libpq import (
    CONNECT_TIMEOUT_SECONDS,
    KEEPALIVES,
    TCP_USER_TIMEOUT_MILLISECONDS,
    add_to_options,
    is_keyword,
    read_only_options,
    with_search_path,
)
from django_gmf_router.postgres.sockets import HeldSocket, is_gone
from django_gmf_router.postgres.sqlstates import (
    cause_of,
    is_changed_plan,
    is_conflict,
    is_idle,
    is_lost,
    is_movable,
    is_refused_write,
    is_standby,
)
from django_gmf_router.routing.reads import MOVES
from django_gmf_router.routing.unit_of_work import current_request
from django_gmf_router.settings import configuration


class ReplicaConnectionMixin(SessionStateMixin):
    """For the `DatabaseWrapper` of a PostgreSQL backend, before it among the bases.

    A replica's alias connects elsewhere when its node is down, and its reads move with it. The primary's alias waits
    for a primary; while there is none it serves the reads of requests that only read from a replica.
    """

    alias: str
    connection: Any

    node: str | None = None
    """The node this connection is on: an alias, its own or where it moved to."""
    generation: tuple[int, int] | None = None
    """The node's generation when it connected; None where the connection shall not outlive the request."""
    avoided: Collection[str] = ()
    """The nodes that a statement failed on, while it moves."""
    is_last_move = False
    """Whether the statement that moves may not move again."""
    held: HeldSocket | None = None
    """The socket of the connection, by which it is freed where it hangs."""
    past_pool = False
    """Whether it connects without the pool of its alias."""

    def __init__(self, settings_dict: dict[str, Any], alias: str = DEFAULT_DB_ALIAS) -> None:
        """Take the alias as a plain string: what the router answers says more than a name."""
        super().__init__(settings_dict, str(alias))

    def get_connection_params(self) -> dict[str, Any]:
        """Return the driver's parameters as Django builds them, with a time-out and the cluster's search_path.

        A replica's session is read-only.
        """
        params: dict[str, Any] = super().get_connection_params()
        if clusters.of_alias(self.alias) is not None:
            params = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **KEEPALIVES, **params}
            if is_keyword("tcp_user_timeout", self.Database):
                params.setdefault("tcp_user_timeout", TCP_USER_TIMEOUT_MILLISECONDS)
        if (schemas := configuration.schemas_of(self.alias)) is not None:
            add_to_options(params, partial(with_search_path, path=schemas.path))
        if clusters.of_replica(self.alias) is not None:
            add_to_options(params, read_only_options)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect to this alias' node, or to the next that may serve it; see `backends.connecting`."""
        cluster = clusters.of_alias(self.alias)
        if cluster is None:
            return super().get_new_connection(conn_params)
        self.node, connection = connect(self, cluster, conn_params, super().get_new_connection)
        self.generation = cluster.nodes.generation(self.node)
        if self.node == cluster.config.primary:
            spills = cluster.config.spill is not None and self.alias != self.node
            # Where it follows another primary, the client of the next request may have written to that.
            if spills or is_standby(connection, unsure=False):
                self.generation = None
        self.held = cluster.nodes.sockets.hold(self.node, connection)
        # Nothing but settings, which are made again elsewhere, until the session has begun.
        self.held.begin()
        if getattr(self, "pool", None) and not _is_pooled(connection):
            # What a pool does with each of its own: time zone and role.
            self._configure_connection(connection)  # type: ignore[attr-defined]
            connection.commit()
        return connection

    def init_connection_state(self) -> None:
        """Begin the session, before receivers of `connection_created` use it."""
        self._settings = None
        try:
            super().init_connection_state()
            if (cluster := clusters.of_alias(self.alias)) is not None:
                begin_session(self, is_own_primary=self.alias == self.node == cluster.config.primary)
        finally:
            if self.held is not None:
                self.held.end()

    @property
    def pool(self) -> Any:
        """Return Django's pool of psycopg, None where there is none, or where it must not be used now."""
        return None if self.past_pool else super().pool

    def connect_past_pool(self, conn_params: dict[str, Any]) -> Any:
        """Connect as the backend does: it gives its connections what it needs there, GeoDjango its types.

        The pool of an alias knows the alias' own node only.
        """
        self.past_pool = True
        try:
            return super().get_new_connection(conn_params)
        finally:
            self.past_pool = False

    def _close(self) -> None:
        connection, held, self.held = self.connection, self.held, None
        if connection is None or _is_pooled(connection):
            if held is not None:
                # In its pool nothing is under way on it. What is in doubt must not be lent again.
                held.begin()
                if held.doubted:
                    held.shut()
            super()._close()  # type: ignore[misc]
            return
        # One that moved does not belong to the pool of its alias.
        with self.wrap_database_errors:
            connection.close()
        if held is not None and (cluster := clusters.of_alias(self.alias)) is not None:
            cluster.nodes.sockets.release(held)

    def close_if_unusable_or_obsolete(self) -> None:
        """Close the connection, outside transactions, if its server left, came back since, or is not its own node.

        Django calls it at the start and at the end of each request. No query is made.
        """
        if self.connection is not None and not self.in_atomic_block and self._is_stale():
            self.close()
        else:
            super().close_if_unusable_or_obsolete()

    def _is_stale(self) -> bool:
        cluster = clusters.of_alias(self.alias)
        if cluster is None or self.node is None:
            return False
        if self.generation != cluster.nodes.generation(self.node):
            return True
        if self.held is not None and self.held.doubted and cluster.nodes.is_down(self.node):
            # It may hang: a write that has not begun is better told that there is no primary.
            return True
        # A primary that is back must take the next write, whether the monitor has seen it or not.
        may_return = self.alias == cluster.config.primary or not cluster.nodes.is_out(self.alias)
        is_away = cluster.nodes.alias_of(self.node) != self.alias
        return (is_away and may_return) or cluster.nodes.is_left(self.node) or is_gone(self.connection)

    def make_cursor(self, cursor: Any) -> Any:
        """Return Django's cursor wrapper, whose reads move."""
        return MovingCursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> Any:
        """Return Django's cursor wrapper that logs queries, whose reads move."""
        kind: Any = type(super().make_debug_cursor(cursor))
        return moving(kind)(cursor, self)

    def _cursor(self, name: str | None = None) -> Any:
        make = self._cursor_in_state if self._has_state else super()._cursor  # type: ignore[misc]
        failed_on = [*self.avoided]
        for _ in range(MOVES):
            try:
                cursor = make(name)
                break
            except Error as error:
                if not self.reconnect_after(error, None, failed_on):
                    raise
        else:
            cursor = make(name)
        if name is not None:
            cursor.gmf_name = name
        return cursor

    def cursor_after_move(self, name: str | None, failed_on: Collection[str]) -> Any:
        """Return the driver's cursor for a statement that failed on other nodes, in a session with its state.

        What a backend executes for a cursor of its own, as django-tenants does, shares the moves of that statement.
        """
        self.avoided = failed_on
        try:
            return self._cursor(name).cursor
        finally:
            self.avoided = ()

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        except Error as error:
            self.explain_failure(error, may_be_saved=True)
            raise

    def begin_statement(self, sql: Any) -> HeldSocket | None:
        """Return the socket that may be shut under a statement, which then moves; None where it must not be.

        The caller ends what began. This is on the path of each statement.
        """
        held = self.held
        # What has delivered rows is read on over the same socket.
        if held is None or held.streams or self.in_atomic_block:
            return None
        cluster = clusters.of_alias(self.alias)
        if cluster is None or not cluster.reads.may_move(self, sql):
            return None
        held.begin_statement()
        # In this order: the monitor doubts it first, then looks what is under way.
        if held.doubted:
            held.doubted = cluster.nodes.is_down(held.node)
            if held.doubted:
                held.shut()
        return held

    def reconnect_after(self, error: Error, sql: Any, failed_on: list[str]) -> bool:
        """Connect anew, where the statement that failed with `error` may be executed again; return whether it may.

        `sql` is None where only a cursor was wanted; failed_on: where it has failed before, to which this node is
        added. Raises PrimaryUnavailable where a primary was needed.
        """
        cluster = clusters.of_alias(self.alias)
        if cluster is None:
            return False
        if is_changed_plan(error):
            return self._forget_plans(cluster, sql)
        if not is_movable(error, self.connection) or not cluster.reads.count_move(self, sql, len(failed_on)):
            self.explain_failure(error, sql)
            return False
        node = str(self.node)
        failed_on.append(node)
        self.avoided, self.is_last_move = failed_on, cluster.reads.is_last_move(len(failed_on))
        self.close()
        try:
            self.ensure_connection()
        finally:
            self.avoided, self.is_last_move = (), False
        cluster.nodes.moved(self.alias, node, "conflict" if is_conflict(error) else "lost", current_request())
        return True

    def _forget_plans(self, cluster: Cluster, sql: Any) -> bool:
        # Its other prepared statements are as stale, so the connection is closed: when its transaction has ended.
        self.generation = None
        # The statement itself was not begun.
        if not is_idle(self.connection) or not cluster.reads.may_repeat(self, sql):
            return False
        with self.wrap_database_errors:
            self.connection.close()  # before a pool gets it back
        self.close()
        self.ensure_connection()
        return True

    def explain_failure(self, error: Error, sql: Any = None, *, may_be_saved: bool = False) -> None:
        """Raise PrimaryUnavailable if `error` of the primary's alias means that there is no primary behind it.

        `sql` is the statement that was under way; may_be_saved: whether a transaction may have been committed.
        """
        cluster = clusters.of_alias(self.alias)
        if cluster is None or self.alias != cluster.config.primary or isinstance(error, PrimaryUnavailable):
            return
        if is_refused_write(error) and is_standby(self.connection, unsure=True):
            self.close()
            raise PrimaryUnavailable(self.alias) from error
        if is_lost(error, self.connection):
            saved = may_be_saved or (sql is not None and cluster.writes.may_be_saved(self, sql))
            raise PrimaryUnavailable(self.alias, cause_of(error), may_be_saved=saved) from error


def _is_pooled(connection: Any) -> bool:
    """Return whether a driver's connection belongs to a pool: psycopg's pools say so as Django's `_close()` asks it."""
    return getattr(connection, "_pool", None) is not None
