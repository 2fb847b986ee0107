"""What does a client get while no primary answers, and what does the log say of it?"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import Engine, TemplateDoesNotExist
from django.template.loader import render_to_string
from django.urls import get_callable, get_resolver, get_urlconf
from django.utils.translation import get_language, get_language_from_request, override, pgettext

from django_gmf_router import clusters
from django_gmf_router.exceptions import MaintenanceMode, PrimaryBusy, PrimaryUnavailable
from django_gmf_router.routing.unit_of_work import UnitOfWork, open_unit

logger = logging.getLogger("django_gmf_router")

TEMPLATE = "gmf_router/503.html"
OWN_TEMPLATES = Path(__file__).parents[1] / "templates"
OWN_LIBRARIES = {"i18n": "django.templatetags.i18n"}
LOCALE_MIDDLEWARE = "django.middleware.locale.LocaleMiddleware"
RETRY_SECONDS = 2.0
"""Of a site whose clusters are gone: settings change in tests only."""
LINE_SECONDS = 60.0
"""A minute: the log of a process says no more often how many requests an outage met."""


class Repeated:
    """A warning that many requests have a reason for: the first is logged at once, then a line a minute counts them."""

    def __init__(self, extra: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        """Take what each line has in `extra`; `clock` counts seconds."""
        self._extra = extra
        self._clock = clock
        self._lock = Lock()
        self._told_at: float | None = None
        self._silent = 0

    def warn(self, text: str) -> None:
        """Log `text`, or only count it."""
        with self._lock:
            now = self._clock()
            if self._told_at is not None and now - self._told_at < LINE_SECONDS:
                self._silent += 1
                return
            more, self._told_at, self._silent = self._silent, now, 0
        text = f"{text} ({more} more since the last such line)" if more else text
        # One line, whatever a client asks for and a driver says.
        logger.warning("%s", " ".join(text.split()), extra={**self._extra, "more": more})


class Quiet(logging.Filter):
    """Keeps from Django's log of requests, and so from the mail to ADMINS, what is answered 503 and told otherwise."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether `record` is about anything else than a primary that does not answer."""
        return not record.exc_info or failure_behind(record.exc_info[1]) is None


QUIET = Quiet()
REFUSED = Repeated({"event": "unavailable"})
SPILLED = Repeated({"event": "spill"})
READ_ONLY = Repeated({"event": "maintenance"})


def install() -> None:
    """Keep what is answered 503 out of Django's log of requests, where there are clusters."""
    if clusters.registry().clusters:
        logging.getLogger("django.request").addFilter(QUIET)


def failure_behind(error: BaseException | None) -> PrimaryUnavailable | None:
    """Return the missing primary that `error` is or was raised from; None where it has another reason."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, PrimaryUnavailable):
            return error
        # Not `__context__`: who catches a failure and then makes a mistake of his own has a bug.
        seen.append(error)
        error = error.__cause__
    return None


def note_failure(**kwargs: Any) -> None:  # noqa: ARG001
    """Keep on the unit of work that its request failed since no primary answered; receives `got_request_exception`.

    What a middleware raises, a session that cannot be saved, becomes a 500 before the outermost one sees it.
    """
    unit, failure = open_unit(), failure_behind(sys.exc_info()[1])
    if unit is not None and failure is not None:
        unit.failure = failure


def note_failed_page(unit: UnitOfWork, error: Exception) -> None:
    """Keep on `unit` that not even Django's page of errors could be made since no primary answered; else raise `error`.

    `handler500` may read the session, as Django's own does with CSRF_USE_SESSIONS, or the user.
    """
    if unit.failure is not None:
        return
    unit.failure = failure_behind(error)
    if unit.failure is None:
        raise error
    # What the page was to tell of would be lost: it may be a mistake of the site.
    _note_failed("handler500", error)


def respond(request: HttpRequest, failure: PrimaryUnavailable) -> HttpResponse:
    """Return 503 with Retry-After, by the `handler503` of the root URLconf or as HTML or JSON, as the client prefers.

    RFC 9110, section 15.6.4. It needs no database, no template engine and no other setting of the site.
    """
    log = {PrimaryBusy: SPILLED, MaintenanceMode: READ_ONLY}.get(type(failure), REFUSED)
    _count(failure)
    log.warn(f"{request.method} {request.path} is answered 503: {failure}")
    # What is active may have been left there by the request before.
    with override(_language(request)):
        response = _by_the_site(request) or _default(request, failure)
    # The monitors will have seen a primary that is back by then.
    seconds = [2 * cluster.config.health.interval for cluster in clusters.registry().clusters]
    response.headers.setdefault("Retry-After", str(math.ceil(max(seconds, default=RETRY_SECONDS))))
    # Django would log each as an ERROR, and mail it to ADMINS.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _count(failure: PrimaryUnavailable) -> None:
    unit, cluster = open_unit(), clusters.of_alias(failure.alias)
    # A session that cannot be saved either meets the same primary once more.
    if cluster is not None and not getattr(unit, "was_refused", False):
        next(cluster.refusals["read" if isinstance(failure, PrimaryBusy) else "write"])
    if unit is not None:
        unit.was_refused = True


def _by_the_site(request: HttpRequest) -> HttpResponse | None:
    """Return what the site's `handler503` answers, None where it has none or that fails."""
    named = getattr(get_resolver(get_urlconf()).urlconf_module, "handler503", None)
    if named is None:
        return None
    try:
        handler: Any = get_callable(named)
        response = async_to_sync(handler)(request) if iscoroutinefunction(handler) else handler(request)
        return response if getattr(response, "is_rendered", True) else response.render()  # type: ignore[no-any-return]
    except Exception as error:  # noqa: BLE001 - it may need the primary too; the client is told all the same
        _note_failed("handler503", error)
        return None


def _note_failed(what: str, error: Exception) -> None:
    logger.error("%s failed while no primary answers.", what, exc_info=error, extra={"event": "error_page"})


def _default(request: HttpRequest, failure: PrimaryUnavailable) -> HttpResponse:
    detail = _detail(_as_announced(failure))
    if _prefers_html(request):
        response = HttpResponse(_page({"detail": detail}), status=503)
    else:
        response = JsonResponse({"detail": detail}, status=503)
    response.headers["Content-Language"] = pgettext("the language that this is translated to, its code", "en")
    return response


def _language(request: HttpRequest) -> str | None:
    """Return the language of a request, which may have failed before its middleware found that out."""
    if hasattr(request, "LANGUAGE_CODE"):
        return str(request.LANGUAGE_CODE)
    return get_language_from_request(request) if LOCALE_MIDDLEWARE in settings.MIDDLEWARE else get_language()


def _as_announced(failure: PrimaryUnavailable) -> PrimaryUnavailable:
    """Return what operators say where they may have taken away the primary themselves: they are in maintenance."""
    cluster = clusters.of_alias(failure.alias)
    if cluster is None or type(failure) is not PrimaryUnavailable or failure.may_be_saved:
        return failure
    steering = cluster.monitor.steering
    return MaintenanceMode(failure.alias, steering.maintenance_reason) if steering.maintenance else failure


def _detail(failure: PrimaryUnavailable) -> str:
    """Return what is told to a client: no alias and no reason, but to who develops the site."""
    return f"{failure.outcome} {failure}" if settings.DEBUG else failure.outcome


def _prefers_html(request: HttpRequest) -> bool:
    # curl, fetch(), QGIS and GDAL send `*/*` or nothing, and cannot read a page.
    names_html = any(str(kind).partition(";")[0] == "text/html" for kind in request.accepted_types)
    return names_html and request.get_preferred_type(["text/html", "application/json"]) == "text/html"


def _page(context: dict[str, Any]) -> str:
    """Return the page, rendered without the request, since context processors may read the database."""
    try:
        return render_to_string(TEMPLATE, context)
    except TemplateDoesNotExist:
        # No engine of the site looks into the directories of apps, or there is none, or Jinja2 alone.
        pass
    except Exception as error:  # noqa: BLE001 - a template of the site's own may fail in any way
        _note_failed(TEMPLATE, error)
    return Engine(dirs=[str(OWN_TEMPLATES)], libraries=OWN_LIBRARIES).render_to_string(TEMPLATE, context)
