"""What happens around a statement: does it write, and what if it fails since its node does?"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.db import Error, InternalError
from django.db.backends.utils import CursorWrapper

from django_gmf_router import clusters
from django_gmf_router.exceptions import MaintenanceMode, PrimaryUnavailable
from django_gmf_router.own_writes import WRITTEN
from django_gmf_router.postgres.libpq import ensure_read_only
from django_gmf_router.postgres.sockets import HeldSocket
from django_gmf_router.postgres.sqlstates import is_refused_write
from django_gmf_router.replicas.freshness import REPLAYED
from django_gmf_router.routing.reads import MOVES


class MovingCursorMixin:
    """For Django's cursor wrappers: a read that fails with its node is executed again on another one, at most twice.

    Only `execute` itself is repeated, before any row was delivered; what may be repeated the connection decides.
    """

    db: Any
    cursor: Any

    gmf_name: str | None = None
    """The name of a server-side cursor."""
    _streams_on: HeldSocket | None = None
    """The socket over which a server-side cursor delivers rows, until it is closed."""

    def _execute(self, sql: Any, params: Any, *ignored: Any) -> Any:
        failed_on = [*self.db.avoided]
        # The node that it moved to may die too, while it is executed again there.
        for _ in range(MOVES):
            held = self.db.begin_statement(sql)
            try:
                result = super()._execute(sql, params, *ignored)  # type: ignore[misc]
            except Error as error:
                if not self.db.reconnect_after(error, sql, failed_on):
                    raise
            else:
                if self.gmf_name is not None:
                    self._begin_stream()
                return result
            finally:
                if held is not None:
                    held.end()
            self.cursor = self.db.cursor_after_move(self.gmf_name, failed_on)
        return super()._execute(sql, params, *ignored)  # type: ignore[misc]

    def _executemany(self, sql: Any, param_list: Any, *ignored: Any) -> Any:
        try:
            return super()._executemany(sql, param_list, *ignored)  # type: ignore[misc]
        except Error as error:
            # Never executed again: it writes, and has perhaps written half.
            self.db.explain_failure(error, sql)
            raise

    def _begin_stream(self) -> None:
        if self._streams_on is None and self.db.held is not None:
            self._streams_on = self.db.held
            self._streams_on.streams += 1
            # To declare it took no time; the rows come later.
            self._streams_on.leave_uncounted()

    def close(self) -> None:
        """Close the driver's cursor."""
        if self._streams_on is not None:
            self._streams_on.streams -= 1
            self._streams_on = None
        self.cursor.close()


@lru_cache(maxsize=8)
def moving(wrapper: type[Any]) -> Any:
    """Return the subclass of a cursor wrapper whose reads move."""
    return type(f"Moving{wrapper.__name__}", (MovingCursorMixin, wrapper), {})


MovingCursor = moving(CursorWrapper)


class Guard:
    """What notes the writes of one connection: an entry of its `execute_wrappers`, with any ENGINE."""

    __slots__ = ("_alias",)

    def __init__(self, alias: str) -> None:
        """Guard the connection of `alias`; which cluster that belongs to, settings may change."""
        self._alias = alias

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        """Run one statement."""
        cluster = clusters.of_alias(self._alias)
        if cluster is None:
            return execute(sql, params, many, context)
        node = getattr(context["connection"], "node", None)
        if self._alias == cluster.config.primary:
            return self._on_primary(cluster, node, execute, sql, params, many, context)
        # By identity: a question of this package is no read of the site.
        if sql is not REPLAYED:
            cluster.reads.note_on_replica(sql, node)
        try:
            return execute(sql, params, many, context)
        except InternalError as error:
            if is_refused_write(error):
                cluster.writes.explain(error, sql, self._alias)
            raise

    def _on_primary(
        self, cluster: clusters.Cluster, node: str | None, execute: Callable[..., Any], sql: Any, *rest: Any
    ) -> Any:
        try:
            statement, record = cluster.writes.note(sql)
        except MaintenanceMode:
            # A page can do without some of what it writes.
            if cluster.writes.may_be_left_out(sql):
                return None
            raise
        if statement.reads and sql is not WRITTEN:
            cluster.reads.note_on_primary(statement, node)
        try:
            return execute(sql, *rest)
        except PrimaryUnavailable as error:
            # A view that goes on without it reads where it read before.
            if record is not None and not error.may_be_saved:
                record.take_back()
            raise


def guard_connection(connection: Any, **kwargs: Any) -> None:  # noqa: ARG001
    """Guard a connection that was just opened, once however often it reconnects; receives `connection_created`.

    A wrapper is made under the string that first asks for it in a thread: its own alias has to be a plain one.
    First in the list: Django's `execute_wrapper()` blocks take the last entry away when they end, whichever it is.
    """
    connection.alias = str(connection.alias)
    if clusters.of_replica(connection.alias) is not None:
        ensure_read_only(connection)
    if not any(isinstance(wrapper, Guard) for wrapper in connection.execute_wrappers):
        connection.execute_wrappers.insert(0, Guard(connection.alias))
