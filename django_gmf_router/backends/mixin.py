"""What does this package add to a PostgreSQL database backend? The connection edge; no policy.

For the backend of another package, three lines:

    class DatabaseWrapper(ReplicaConnectionMixin, base.DatabaseWrapper):
        pass

"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import Error

from django_gmf_router import clusters
from django_gmf_router.backends.connecting import connect
from django_gmf_router.backends.cursors import MovingCursor, moving
from django_gmf_router.clusters import Cluster
from django_gmf_router.exceptions import PrimaryUnavailable
from django_gmf_router.postgres.session_options import CONNECT_TIMEOUT_SECONDS, read_only_options, with_search_path
from django_gmf_router.postgres.sockets import is_gone
from django_gmf_router.postgres.sqlstates import (
    is_changed_plan,
    is_idle,
    is_lost,
    is_movable,
    is_refused_write,
    is_standby,
)
from django_gmf_router.routing.writes import MOVES
from django_gmf_router.settings import configuration

if TYPE_CHECKING:
    from django.db.backends.postgresql.base import DatabaseWrapper as Base
else:
    Base = object


class ReplicaConnectionMixin(Base):
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
    avoided: str | None = None
    """The node that a read has just failed on."""
    past_pool = False
    """Whether it connects without the pool of its alias."""

    def get_connection_params(self) -> dict[str, Any]:
        """Return the driver's parameters as Django builds them, with a time-out and the cluster's search_path.

        A replica's session is read-only.
        """
        params: dict[str, Any] = super().get_connection_params()
        if clusters.of_alias(self.alias) is not None:
            params.setdefault("connect_timeout", CONNECT_TIMEOUT_SECONDS)
        if (schemas := configuration.schemas_of(self.alias)) is not None:
            params["options"] = with_search_path(params.get("options"), schemas.path)
        if clusters.of_replica(self.alias) is not None:
            params["options"] = read_only_options(params.get("options"))
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect to this alias' node, or to the next that may serve it; see `backends.connecting`."""
        cluster = clusters.of_alias(self.alias)
        if cluster is None:
            return super().get_new_connection(conn_params)
        self.node, connection = connect(self, cluster, conn_params, super().get_new_connection)
        self.generation = cluster.nodes.generation(self.node)
        if self.node == cluster.config.primary and is_standby(connection, unsure=False):
            # It follows another primary: the client of the next request may have written to that.
            self.generation = None
        self.avoided = None
        cluster.nodes.sockets.hold(self.node, connection)
        if getattr(self, "pool", None) and not _is_pooled(connection):
            # What a pool does with each of its own: time zone and role.
            self._configure_connection(connection)  # type: ignore[attr-defined]
            connection.commit()
        return connection

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
        # A connection that moved does not belong to the pool of its alias.
        if self.connection is not None and not _is_pooled(self.connection):
            with self.wrap_database_errors:
                self.connection.close()
        else:
            super()._close()  # type: ignore[misc]

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
        # A primary that is back must take the next write, whether the monitor has seen it or not.
        may_return = self.alias == cluster.config.primary or not cluster.nodes.is_down(self.alias)
        is_away = cluster.nodes.alias_of(self.node) != self.alias
        return (is_away and may_return) or is_gone(self.connection)

    def make_cursor(self, cursor: Any) -> Any:
        """Return Django's cursor wrapper, whose reads move."""
        return MovingCursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> Any:
        """Return Django's cursor wrapper that logs queries, whose reads move."""
        wrapped: Any = super().make_debug_cursor(cursor)
        kind: Any = type(wrapped)
        return moving(kind)(cursor, self)

    def _cursor(self, name: str | None = None) -> Any:
        cursor = self._cursor_somewhere(name)
        if name is not None:
            cursor.gmf_name = name
        return cursor

    def _cursor_somewhere(self, name: str | None) -> Any:
        for _ in range(MOVES):
            try:
                return super()._cursor(name)  # type: ignore[misc]
            except Error as error:  # noqa: PERF203 - it costs only where a node fails
                if not self.reconnect_after(error, None):
                    raise
        return super()._cursor(name)  # type: ignore[misc]

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        except Error as error:
            self.explain_failure(error)
            raise

    def reconnect_after(self, error: Error, sql: Any) -> bool:
        """Connect anew, where the statement that failed with `error` may be executed again; return whether it may.

        `sql` is None where only a cursor was wanted. Raises PrimaryUnavailable where a primary was needed.
        """
        cluster = clusters.of_alias(self.alias)
        if cluster is None:
            return False
        if is_changed_plan(error):
            return self._forget_plans(cluster, sql)
        if not is_movable(error, self.connection) or not cluster.writes.count_move(self, sql):
            self.explain_failure(error)
            return False
        self.avoided = self.node
        cluster.nodes.moved(self.alias, self.node, error)
        self.close()
        self.ensure_connection()
        return True

    def _forget_plans(self, cluster: Cluster, sql: Any) -> bool:
        # Its other prepared statements are as stale, so the connection is closed: when its transaction has ended.
        self.generation = None
        # The statement itself was not begun.
        if not is_idle(self.connection) or not cluster.writes.may_repeat(self, sql):
            return False
        with self.wrap_database_errors:
            self.connection.close()  # before a pool gets it back
        self.close()
        self.ensure_connection()
        return True

    def explain_failure(self, error: Error) -> None:
        """Raise PrimaryUnavailable if `error` of the primary's alias means that there is no primary behind it."""
        if clusters.of_alias(self.alias) is None or clusters.of_replica(self.alias) is not None:
            return
        if is_refused_write(error) and is_standby(self.connection, unsure=True):
            self.close()
            raise PrimaryUnavailable(self.alias) from error
        if is_lost(error, self.connection):
            raise PrimaryUnavailable(self.alias) from error


def _is_pooled(connection: Any) -> bool:
    """Return whether a driver's connection belongs to a pool: psycopg's pools say so as Django's `_close()` asks it."""
    return getattr(connection, "_pool", None) is not None
