"""What did a unit of work write, and how does its client, or a worker, come to know?"""

from __future__ import annotations

from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from django_gmf_router import clusters
from django_gmf_router.clients import token_of
from django_gmf_router.clusters import Cluster
from django_gmf_router.consistency.capture import capture, time_mark
from django_gmf_router.consistency.keeper import Keeper
from django_gmf_router.consistency.tokens import Token
from django_gmf_router.marks import Mark
from django_gmf_router.routing.unit_of_work import UnitOfWork


def remember(unit: UnitOfWork, request: HttpRequest, response: HttpResponseBase) -> None:
    """Give the client of `request` a token of what `unit` wrote: one query on each primary that it wrote to."""
    for keeper, marks in _marks(unit).items():
        keeper.give(request, response, keeper.token(marks, token_of(unit, keeper)))


def remembers_late() -> bool:
    """Return whether what is written while a body streams can still be remembered."""
    return any(cluster.keeper.store.writes_late for cluster in clusters.registry().clusters)


def token_text(unit: UnitOfWork | None) -> str | None:
    """Return a token of what `unit` wrote and its client brought; outside requests of all that is committed."""
    found = _marks(unit)
    for cluster in clusters.registry().clusters:
        brought = None if unit is None else token_of(unit, cluster.keeper)
        marks = found.get(cluster.keeper, ())
        if marks or brought is not None:
            return cluster.keeper.text(cluster.keeper.token(marks, brought) if marks else brought)
    return None


def parse_token(text: str) -> Token | None:
    """Return the token of a text; None if it is not ours or has expired."""
    return next(filter(None, (cluster.keeper.parse(text) for cluster in clusters.registry().clusters)), None)


def _marks(unit: UnitOfWork | None) -> dict[Keeper, tuple[Mark, ...]]:
    marks: dict[Keeper, tuple[Mark, ...]] = {}
    for cluster in clusters.registry().clusters:
        primary = cluster.config.primary
        if cluster.config.consistency.level == "session" and (unit is None or unit.has_written(primary)):
            marks[cluster.keeper] = (*marks.get(cluster.keeper, ()), _capture(cluster, is_script=unit is None))
    return marks


def _capture(cluster: Cluster, *, is_script: bool) -> Mark:
    primary = cluster.config.primary
    wrapper = connections[primary]
    if cluster.pool.is_mirrored(cluster.config.replica_aliases[0]):
        return time_mark(primary)
    if is_script:
        wrapper.ensure_connection()
    return capture(wrapper, cluster=primary, system_identifier=cluster.monitor.health(primary).system_identifier)
