"""Where does a unit of work begin and end? The HTTP edge; no logic."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import Token
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from django_gmf_router import clusters, own_writes, unavailable
from django_gmf_router.postgres import concurrency
from django_gmf_router.routing.lazy_response import stream_within, within
from django_gmf_router.routing.unit_of_work import Place, UnitOfWork, current_place, open_unit, place
from django_gmf_router.unavailable import unsaved_sessions

SERVER_ERROR = 500
SERVER_TIMING = "server-timing"
"""The header that browsers show beside the times of a request: https://www.w3.org/TR/server-timing/."""


class RoutingMiddleware:
    """Opens a unit of work for each request and always closes it; the first of MIDDLEWARE.

    It is outermost so that what the others write in their response phase, sessions above all, belongs to the request.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """Take the next handler, synchronous or not."""
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        if concurrency.green_threads() is not None:
            # A driver that blocks them is refused when the server starts, not with its first page.
            clusters.registry()
        if any(database["ATOMIC_REQUESTS"] for database in connections.settings.values()):
            self.process_template_response = self._after_view_async if self._is_async else self._after_view
        unavailable.install()
        unsaved_sessions.install()

    def __call__(self, request: HttpRequest) -> Any:
        """Serve `request` inside its unit of work."""
        if self._is_async:
            return self._serve_async(request)
        unit, token = _begin(request)
        response = None
        try:
            try:
                response = self._get_response(request)
            except Exception as error:  # noqa: BLE001 - it is raised again
                unavailable.note_failed_page(unit, error)
            if unit.failure is not None and _is_error(response):
                response = unavailable.respond(request, unit.failure)
            if response is not None and unit.records and unit.wrote:
                own_writes.remember(unit, request, response)
        finally:
            current_place.reset(token)
            _end(unit, response)
        return response

    async def _serve_async(self, request: HttpRequest) -> Any:
        unit, token = _begin(request)
        response = None
        try:
            try:
                response = await self._get_response(request)
            except Exception as error:  # noqa: BLE001 - it is raised again
                unavailable.note_failed_page(unit, error)
            if unit.failure is not None and _is_error(response):
                # Not in the event loop's thread: the site's page may ask a database.
                response = await sync_to_async(unavailable.respond)(request, unit.failure)
            if response is not None and unit.records and unit.wrote:
                # In the thread that wrote, or as far as anybody can tell: its connection is open and knows.
                await sync_to_async(own_writes.remember)(unit, request, response)
        finally:
            current_place.reset(token)
            _end(unit, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> Any:
        """Return 503 for a view that needed the primary while none answers."""
        failure = unavailable.failure_behind(exception)
        return None if failure is None else unavailable.respond(request, failure)

    def _after_view(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:  # noqa: ARG002
        # The transaction around the view has ended, the response is rendered from here on.
        unit = open_unit()
        if unit is not None:
            unit.view_is_over = True
        return response

    async def _after_view_async(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return self._after_view(request, response)


def _begin(request: HttpRequest) -> tuple[UnitOfWork, Token[Place]]:
    unit = UnitOfWork(request, open_unit())
    return unit, current_place.set(place(unit, current_place.get().blocks))


def _is_error(response: HttpResponseBase | None) -> bool:
    """Return whether what failed in a middleware, or in making the page of an error, is all there is to answer."""
    return response is None or response.status_code >= SERVER_ERROR


def _end(unit: UnitOfWork, response: HttpResponseBase | None) -> None:
    """Close `unit`, once the body of `response` is made."""
    streams = False
    try:
        if response is not None:
            _describe(unit, response)
            unit.view_is_over = True
            if response.streaming:
                unit.streams = True
                streams = stream_within(response, within(unit), partial(_end_of_body, unit, response))
    finally:
        if not streams:
            unit.close()


def _describe(unit: UnitOfWork, response: HttpResponseBase) -> None:
    """Add the debug headers of the clusters that ask for one: the decision of the last read, or of what forbids one."""
    for cluster in clusters.registry().described:
        decision = cluster.policy.last_decision(unit)
        if decision is not None:
            dry = "; dry_run" if cluster.config.dry_run else ""
            _add_header(response, str(cluster.config.debug_header), f"{decision}{dry}")


def _add_header(response: HttpResponseBase, name: str, text: str) -> None:
    """Set a header; Server-Timing gets an entry in its own format, after those that it has."""
    if name.lower() != SERVER_TIMING:
        response.headers[name] = text
        return
    # An alias may be any text, a quoted-string holds it (RFC 9110, section 5.6.4). Of what is not ASCII Django would
    # encode the whole header, the entries of others with it.
    quotable = text.encode("ascii", "backslashreplace").decode()
    entry = 'gmf;desc="{}"'.format(re.sub(r'(["\\])', r"\\\1", quotable))
    response.headers[name] = ", ".join(filter(None, (response.headers.get(name), entry)))


def _end_of_body(unit: UnitOfWork, response: HttpResponseBase) -> None:
    """Close `unit`, after what its body wrote is remembered where that is still possible."""
    try:
        if unit.request is not None and unit.wrote and own_writes.remembers_late():
            own_writes.remember(unit, unit.request, response)
    finally:
        unit.close()
