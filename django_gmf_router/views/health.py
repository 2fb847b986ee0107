"""How does a load balancer learn whether this web server may take requests? The view `health`; no logic of nodes."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connections, transaction
from django.http import HttpRequest, JsonResponse, QueryDict
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from django_gmf_router.views.conditions import LEVELS, Condition, Level, Status, conditions, overall

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
