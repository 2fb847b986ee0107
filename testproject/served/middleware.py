"""Which nodes served a request, and what do they say themselves?"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from django.db import Error, connections
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from django_gmf_router import Decision
from django_gmf_router.signals import role_decided
from testproject.served import records

# The page asks for these again and again; that would soon be all it shows. It counts its tiles itself.
UNSEEN = re.compile(r"/(requests|favicon\.ico|outages\b.*|gmf/status\.json|static/.*|tiles/.*)")

# A list that is changed and never replaced: threads and tasks of the request see the same one.
_decisions: ContextVar[list[Decision] | None] = ContextVar("decisions", default=None)


@receiver(role_decided)
def note(*, decision: Decision, **kwargs: Any) -> None:  # noqa: ARG001
    seen = _decisions.get()
    if seen is not None and decision not in seen:
        seen.append(decision)


class ServedByMiddleware:
    """Remembers each request with its decisions; comes after RoutingMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = _decisions.set(seen := [])
        started = perf_counter()
        try:
            response = self.get_response(request)
        finally:
            _decisions.reset(token)
        if not UNSEEN.fullmatch(request.path):
            keep(request, response, seen, perf_counter() - started)
        return response


def keep(request: HttpRequest, response: HttpResponseBase, seen: list[Decision], seconds: float) -> None:
    record = records.Record(
        at=timezone.now(),
        method=str(request.method),
        path=request.get_full_path(),
        status=response.status_code,
        milliseconds=seconds * 1000,
        served=tuple(served_by(decision) for decision in seen),
    )
    records.keep(record)


def served_by(decision: Decision) -> records.Served:
    port, in_recovery = ask(decision.alias)
    return records.Served(
        role=decision.role,
        alias=decision.alias,
        reason=decision.reason,
        port=port,
        in_recovery=in_recovery,
    )


def ask(alias: str) -> tuple[int | None, bool | None]:
    """Ask the server behind `alias`, where the request has a connection to one."""
    if alias not in connections.settings:
        # A dry run imagines a replica.
        return None, None
    connection = connections[alias]
    if connection.vendor != "postgresql" or connection.connection is None:
        return None, None
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT inet_server_port(), pg_is_in_recovery()")
            return cursor.fetchone()
    except Error:
        # The request is answered; that its server went away since must not change the answer.
        return None, None
