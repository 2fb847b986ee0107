"""May this process serve, and how is each node? What a load balancer asks, and the view `health` that tells it.

By what the process' monitors know: nobody is asked, and nothing waited for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connections, transaction
from django.http import HttpRequest, JsonResponse, QueryDict
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from django_gmf_router import clusters
from django_gmf_router.clusters import Cluster
from django_gmf_router.replicas.health import NodeHealth, State

UNKNOWN = "unknown"
"""The state of a node that was not heard of, not yet or no more."""


class Status:
    """What a condition comes to."""

    OK: Final = "ok"
    DEGRADED: Final = "degraded"
    DOWN: Final = "down"


class Level:
    """How much is looked at: each takes in those before it."""

    SERVING: Final = 1
    """May this process take requests?"""
    NODES: Final = 2
    """How is each node, and has it replayed the migrations?"""


LEVELS = (Level.SERVING, Level.NODES)
STATUS_OF: Mapping[str, str] = {
    UNKNOWN: Status.OK,
    State.UP: Status.OK,
    State.SLOW: Status.DEGRADED,
    State.LAGGING: Status.DEGRADED,
    State.DOWN: Status.DOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What was found of one thing; its name is its kind, a colon and an alias."""

    name: str
    status: str
    state: str | None = None
    """A node's."""
    details: Mapping[str, object] = field(default_factory=dict)
    """What tells of servers: for staff."""

    @property
    def kind(self) -> str:
        """What it is a condition of."""
        return self.name.partition(":")[0]


def conditions(level: int) -> list[Condition]:
    """Return the conditions of all clusters, up to a level; a process that watches no node yet begins."""
    found: list[Condition] = []
    for cluster in clusters.registry().clusters:
        cluster.pool.watch()
        found += _conditions(cluster, level)
    return found


def overall(found: Iterable[Condition]) -> str:
    """Return down where all are, since what one of them cannot serve another may; ok where all are."""
    statuses = {condition.status for condition in found}
    if statuses == {Status.DOWN}:
        return Status.DOWN
    return Status.DEGRADED if statuses - {Status.OK} else Status.OK


def _conditions(cluster: Cluster, level: int) -> Iterator[Condition]:
    serving = _serving(cluster)
    primary = cluster.config.primary
    yield Condition(name=f"cluster:{primary}", status=serving)
    if level >= Level.NODES:
        for alias in (primary, *cluster.config.replica_aliases):
            yield _node(cluster, alias)
        yield _migrations(cluster, serving)


def _serving(cluster: Cluster) -> str:
    monitor, config = cluster.monitor, cluster.config
    # The primary is read until the nodes are heard of again; that none answers is not known.
    if monitor.is_outdated():
        return Status.DEGRADED
    down = {alias for alias in config.aliases if monitor.is_down(alias)}
    if down == config.aliases:
        return Status.DOWN
    return Status.DEGRADED if config.primary in down or not any(monitor.tiers.values()) else Status.OK


def _node(cluster: Cluster, alias: str) -> Condition:
    monitor = cluster.monitor
    is_outdated = monitor.is_outdated()
    node = monitor.health(alias)
    details = _details(node)
    if monitor.looks_up(alias):
        # The names of these hold their addresses.
        members = map(monitor.health, monitor.members(alias))
        details["nodes"] = {each.alias: {"state": _state(each, is_outdated), **_details(each)} for each in members}
    state = _state(node, is_outdated)
    return Condition(name=f"node:{alias}", status=STATUS_OF[state], state=state, details=details)


def _state(node: NodeHealth, is_outdated: bool) -> str:
    is_unheard = node.sampled_at is None and not node.is_down
    return UNKNOWN if is_outdated or is_unheard else node.state


def _details(node: NodeHealth) -> dict[str, object]:
    heard = None if node.sampled_at is None else round(time.monotonic() - node.sampled_at, 3)
    return {
        "role": node.role,
        "lag": None if node.lag is None else round(node.lag, 3),
        "latency": None if node.latency is None else round(node.latency, 4),
        "since": datetime.fromtimestamp(node.since, tz=timezone.utc).isoformat(timespec="seconds"),
        "heard_seconds_ago": heard,
        "error": node.error,
    }


def _migrations(cluster: Cluster, serving: str) -> Condition:
    """Compare what the replicas have replayed of the table of migrations with the primary's, as last seen."""
    monitor, config = cluster.monitor, cluster.config
    wanted = monitor.health(config.primary).migrations
    nodes = [monitor.health(node) for alias in config.replica_aliases for node in monitor.members(alias)]
    compared = [node for node in nodes if not node.is_down]
    unknown = [node.alias for node in compared if None in {wanted, node.migrations}]
    behind = [node.alias for node in compared if node.alias not in unknown and node.migrations != wanted]
    status = Status.DOWN if serving == Status.DOWN else Status.DEGRADED if behind else Status.OK
    return Condition(name=f"migrations:{config.primary}", status=status, details={"behind": behind, "unknown": unknown})


HTTP_OF = {Status.OK: 200, Status.DEGRADED: 200, Status.DOWN: 503}


# Not async: under ASGI a sync view costs one thread, under WSGI an async one an event loop, each time.
@login_not_required
@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Return how the clusters are, up to `max_level`, by default 1; of `checks` only what these name.

    No node is asked and no connection opened, but for the session that a caller brings to level 2: by that it is known
    to be staff, who are told more than states.
    """
    try:
        level = _level(request.GET)
        found = _chosen(request.GET, level)
    except ValueError as error:
        return JsonResponse({"detail": str(error)}, status=400)
    # At level 1 there is nothing to hide: who asks for it, time after time, needs no session.
    tells_all = level > Level.SERVING and _is_staff(request)
    status = overall(found)
    body = {"status": status, "checks": {condition.name: _shown(condition, tells_all) for condition in found}}
    response = JsonResponse(body, status=HTTP_OF[status])
    # Django would log each 503 as an ERROR, and mail it to ADMINS; the log tells of the nodes themselves, once.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


# ATOMIC_REQUESTS would open a connection for it.
for _alias in connections:
    transaction.non_atomic_requests(using=_alias)(health)


def _level(query: QueryDict) -> int:
    text = query.get("max_level", str(Level.SERVING))
    levels = {str(level): level for level in LEVELS}
    if text not in levels:
        raise ValueError(f"max_level is {text!r}: say {' or '.join(levels)}.")
    return levels[text]


def _chosen(query: QueryDict, level: int) -> list[Condition]:
    """Return the conditions that `checks` names, by their names or kinds; all where it names none."""
    found = conditions(level)
    wanted = {name.strip() for text in query.getlist("checks") for name in text.split(",")} - {""}
    if not wanted:
        return found
    names = dict.fromkeys([*(condition.kind for condition in found), *(condition.name for condition in found)])
    if unknown := sorted(wanted - names.keys()):
        there_are = ", ".join(names) or "none, since no cluster has replicas"
        raise ValueError(f"checks names {unknown[0]!r}, which is none of max_level {level}: {there_are}.")
    return [condition for condition in found if wanted & {condition.name, condition.kind}]


def _is_staff(request: HttpRequest) -> bool:
    """Return whether the caller is staff; nobody is where the session or its user cannot be read."""
    user = getattr(request, "user", None)
    try:
        return bool(user is not None and user.is_active and getattr(user, "is_staff", False))
    except DatabaseError:
        return False


def _shown(condition: Condition, tells_all: bool) -> dict[str, object]:
    shown: dict[str, object] = {"status": condition.status}
    if condition.state is not None:
        shown["state"] = condition.state
    return {**shown, **condition.details} if tells_all else shown
