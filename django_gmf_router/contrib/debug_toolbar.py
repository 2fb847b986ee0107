"""Where did each query of a page go, and why? A panel for django-debug-toolbar."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from debug_toolbar.panels import Panel
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from django_gmf_router import clusters
from django_gmf_router.clusters import Cluster
from django_gmf_router.consistency.tokens import Token
from django_gmf_router.postgres.positions import format_position
from django_gmf_router.replicas.freshness import REPLAYED
from django_gmf_router.routing.reads import UNROUTED
from django_gmf_router.routing.unit_of_work import Decision, UnitOfWork, open_unit
from django_gmf_router.routing.writes import classify
from django_gmf_router.settings.values import Role
from django_gmf_router.signals import role_decided

WRITE, POSITION, NOT_ASKED = "write", "position", ""
"""What stands in the place of a reason: a statement that writes; this package asks a replica whether it has what the
client wrote; the router was not asked, since the code names a connection or an alias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Where a statement was executed, and why there."""

    alias: str
    node: str
    role: str
    reason: str


class RoutingPanel(Panel):
    """The queries of a request by node and reason, what was decided in which order, and what the token did.

    It listens while a request is served that shows the toolbar, and costs nothing otherwise.
    """

    is_async = True
    title = nav_title = "Read/write splitting"
    template = "gmf_router/debug_toolbar.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what every panel takes."""
        super().__init__(*args, **kwargs)
        self._unit: UnitOfWork | None = None
        self._watched: list[BaseDatabaseWrapper] = []
        self._took: dict[Execution, list[float]] = {}
        self._decisions: list[dict[str, str]] = []
        self._moves: list[dict[str, str]] = []

    @property
    def nav_subtitle(self) -> str:
        """Return how many queries each node executed."""
        counts: dict[str, int] = {}
        for query in self.get_stats().get("queries", ()):
            counts[query["node"]] = counts.get(query["node"], 0) + query["count"]
        return ", ".join(f"{node}: {count}" for node, count in counts.items())

    def enable_instrumentation(self) -> None:
        """Listen, in this thread."""
        self._unit = open_unit()
        role_decided.connect(self._note_decision, weak=False, dispatch_uid=id(self))
        for connection in connections.all():
            if connection not in self._watched:
                connection.execute_wrappers.append(self._execute)
                self._watched.append(connection)

    async def aenable_instrumentation(self) -> None:
        """Listen in the thread in which the ORM runs: each has connections of its own."""
        await sync_to_async(self.enable_instrumentation)()

    def disable_instrumentation(self) -> None:
        """Listen no more, in whichever thread."""
        role_decided.disconnect(dispatch_uid=id(self))
        while self._watched:
            wrappers = self._watched.pop().execute_wrappers
            wrappers[:] = [wrapper for wrapper in wrappers if wrapper != self._execute]

    def generate_stats(self, request: HttpRequest, response: HttpResponseBase) -> None:  # noqa: ARG002
        """Keep what was seen."""
        self.record_stats(
            {
                "has_unit": self._unit is not None,
                "is_dry": any(cluster.config.dry_run for cluster in clusters.registry().clusters),
                "queries": [
                    {**asdict(execution), "count": len(took), "milliseconds": 1000 * sum(took)}
                    for execution, took in self._took.items()
                ],
                "decisions": self._decisions,
                "moves": self._moves,
            }
        )
        if self._unit is not None:
            self._note_tokens(self._unit, response)
            # The client is given one when all the middleware has written. Panels are rendered later, by default.
            self._unit.at_end.append(partial(self._note_tokens, self._unit, response))

    def generate_server_timing(self, request: HttpRequest, response: HttpResponseBase) -> None:  # noqa: ARG002
        """Let the browser show how long each node took."""
        for node in dict.fromkeys(execution.node for execution in self._took):
            took = [seconds for execution, each in self._took.items() if execution.node == node for seconds in each]
            # The toolbar makes the name of an entry of it, which is a token.
            key = re.sub(r"\W", "_", node, flags=re.ASCII)
            self.record_server_timing(key, f"queries: {len(took)}", 1000 * sum(took))

    def _note_decision(self, *, decision: Decision, model: type[Model], **kwargs: Any) -> None:  # noqa: ARG002
        # Those of all requests are heard.
        if self._unit_here() is not None:
            # The stand-in of a database cache has no label.
            label = f"{model._meta.app_label}.{model._meta.object_name}"
            said = {"model": label, "alias": decision.alias, "role": str(decision.role), "reason": decision.reason}
            self._decisions.append(said)

    def _execute(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        """Execute one statement, and note where that was and how long it took."""
        unit = self._unit_here()
        if unit is None:
            return execute(sql, params, many, context)
        connection = context["connection"]
        role, reason = _why(unit, connection.alias, sql)
        before, began = _node_of(connection), time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            node = _node_of(connection)
            execution = Execution(alias=connection.alias, node=node, role=role, reason=reason)
            self._took.setdefault(execution, []).append(time.perf_counter() - began)
            if node != before:
                self._moves.append({"alias": connection.alias, "before": before, "after": node})

    def _unit_here(self) -> UnitOfWork | None:
        """Return the unit of work of this context, if it is that of the request or was opened within it."""
        here = unit = open_unit()
        while unit is not None and unit is not self._unit:
            unit = unit.outer
        return None if unit is None else here

    def _note_tokens(self, unit: UnitOfWork, response: HttpResponseBase) -> None:
        registered = clusters.registry().clusters
        self.record_stats({"tokens": [_token_seen(cluster, unit, response) for cluster in registered]})


def _why(unit: UnitOfWork, alias: str, sql: object) -> tuple[str, str]:
    """Return the role and the reason of a statement that is about to be executed."""
    cluster, decision = clusters.of_alias(alias), unit.decision
    if cluster is None:
        return "", NOT_ASKED
    role = Role.PRIMARY if alias == cluster.config.primary else Role.REPLICA
    if sql == REPLAYED:
        return str(role), POSITION
    statement, seen = classify(sql), cluster.policy.record(unit).seen
    if statement.writes:
        return str(role), WRITE
    if decision is not None and decision.role == Role.REPLICA and _serves(cluster, decision) == alias:
        return str(decision.role), decision.reason
    # What counts the reads has just seen it.
    reason = seen.latest if seen is not None and statement.reads else UNROUTED
    return str(role), NOT_ASKED if reason == UNROUTED else reason


def _serves(cluster: Cluster, decision: Decision) -> str:
    """Return the alias whose connection serves a decision: the primary's in a dry run, and where a test mirrors."""
    is_elsewhere = decision.role == Role.REPLICA and (
        cluster.config.dry_run or cluster.pool.is_mirrored(decision.alias)
    )
    return cluster.config.primary if is_elsewhere else decision.alias


def _node_of(connection: Any) -> str:
    """Return the node that a connection is on; with an ENGINE that does not tell, that of its alias."""
    return getattr(connection, "node", None) or str(connection.alias)


def _token_seen(cluster: Cluster, unit: UnitOfWork, response: HttpResponseBase) -> dict[str, str]:
    """Return what is known of a token: that which was brought is looked at when a replica is picked, or one given."""
    primary = cluster.config.primary
    brought = (unit.tokens or {}).get(cluster.store)
    record = unit.records.get(primary)
    wanted = None if record is None else record.wanted
    return {
        "cluster": primary,
        "brought": _text(brought, primary),
        "wanted": "" if wanted is None else _text(Token(time=wanted.time, marks=(wanted.mark,)), primary),
        "given": _given(cluster, unit, response),
    }


def _given(cluster: Cluster, unit: UnitOfWork, response: HttpResponseBase) -> str:
    config, primary = cluster.config.consistency, cluster.config.primary
    if config.store == "cache":
        return "kept in the cache" if config.level == "session" and unit.has_written(primary) else ""
    cookie = response.cookies.get(config.cookie_name)
    sent = response.headers.get(config.header) if cookie is None else cookie.value
    return _text(cluster.store.parse(sent), primary)


def _text(token: Token | None, primary: str) -> str:
    """Return what a token says of a cluster; an empty str where that is nothing."""
    mark = None if token is None else token.mark(primary)
    if token is None or mark is None:
        return ""
    position = "by time" if mark.position is None else format_position(mark.position)
    return f"{position}, {max(0.0, time.time() - token.time):.1f} s old"
