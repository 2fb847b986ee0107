"""What does a client get while no primary answers?"""

from __future__ import annotations

import logging
import math
import sys
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import get_callable, get_resolver, get_urlconf

from django_gmf_router import clusters
from django_gmf_router.exceptions import PrimaryUnavailable
from django_gmf_router.routing.unit_of_work import open_unit

logger = logging.getLogger("django_gmf_router")

TEMPLATE = "gmf_router/503.html"
SESSIONS = "sessions"


def respond(request: HttpRequest) -> HttpResponse:
    """Return 503 with Retry-After, by the `handler503` of the root URLconf or as HTML or JSON, as the client prefers.

    RFC 9110, section 15.6.4. The template `gmf_router/503.html` can be overridden; it is rendered without the request,
    since context processors may read the database.
    """
    handler = getattr(get_resolver(get_urlconf()).urlconf_module, "handler503", None)
    response = get_callable(handler)(request) if handler else _default(request)
    # The monitors will have seen a primary that is back by then.
    seconds = max(2 * cluster.config.health.interval for cluster in clusters.registry().clusters)
    response.headers.setdefault("Retry-After", str(math.ceil(seconds)))
    return response


def note_failure(**kwargs: Any) -> None:  # noqa: ARG001
    """Keep on the unit of work that its request failed since no primary answered; receives `got_request_exception`.

    What a middleware raises, a session that cannot be saved, becomes a 500 before the outermost one sees it.
    """
    unit = open_unit()
    error = sys.exc_info()[1]
    if unit is not None and isinstance(error, PrimaryUnavailable):
        unit.failure = error


def sessions_in_database() -> bool:
    """Return whether sessions are kept in a database that has replicas."""
    is_used = bool(clusters.registry().clusters) and apps.is_installed("django.contrib.sessions")
    return is_used and settings.SESSION_ENGINE.endswith((".db", ".cached_db"))


def tolerate_unsaved_session(request: HttpRequest) -> None:
    """Let the session of a request that only reads stay unsaved, with a line in the log, while no primary answers."""
    session, cluster = getattr(request, "session", None), clusters.of_app(SESSIONS)
    if session is None or cluster is None:
        return
    save, only_reads = session.save, cluster.policy.only_reads

    def tolerant_save(must_create: bool = False) -> None:
        try:
            save(must_create)
        except (PrimaryUnavailable, UpdateError) as error:
            # Django's session store turns an error of the database into its UpdateError.
            cause = error if isinstance(error, PrimaryUnavailable) else error.__context__
            if not isinstance(cause, PrimaryUnavailable) or not only_reads():
                raise
            logger.warning("A session was not saved: %s", cause, extra={"event": "session_not_saved"})

    session.save = tolerant_save


def _default(request: HttpRequest) -> HttpResponse:
    if request.get_preferred_type(["text/html", "application/json"]) == "text/html":
        return HttpResponse(render_to_string(TEMPLATE), status=503)
    error = "No primary database answers: nothing can be written now. Try again in a moment."
    return JsonResponse({"error": error}, status=503)
