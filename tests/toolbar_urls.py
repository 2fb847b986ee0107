"""The tests' site with the debug toolbar; it tells as data what the panel keeps."""

from __future__ import annotations

from debug_toolbar.store import get_store
from django.core.cache import caches
from django.db import connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

from django_gmf_router import unit_of_work
from django_gmf_router.contrib.debug_toolbar import RoutingPanel
from django_gmf_router.signals import role_decided
from tests import urls
from tests.books.models import Author

ENDS_ITS_SESSION = """
SELECT 1 AS id,
    CASE WHEN pg_is_in_recovery() THEN pg_terminate_backend(pg_backend_pid())::text || pg_sleep(20)::text END AS name
"""


def panel(request: HttpRequest, request_id: str) -> JsonResponse:
    """Tell what the panel keeps of a request."""
    return JsonResponse(get_store().panel(request_id, RoutingPanel.panel_id))


def page(request: HttpRequest) -> HttpResponse:
    """Read once, and be a page into which the toolbar goes."""
    return HttpResponse(f"<html><body>{Author.objects.count()}</body></html>")


def visit(request: HttpRequest) -> HttpResponse:
    """Read, note the visit, and read again: the toolbar then shows two aliases."""
    names = [author.name for author in Author.objects.order_by("name")[:3]]
    Author.objects.create(name="a visitor")
    # Browsers ask for an icon of their own accord, unless the page has one.
    head = '<head><title>Visit</title><link rel="icon" href="data:,"></head>'
    return HttpResponse(f"<html>{head}<body>{Author.objects.count()}: {names}</body></html>")


def by_hand(request: HttpRequest) -> HttpResponse:
    """Read a session, which is on the primary, and then on the primary's connection and by its alias."""
    caches["database"].get("key")
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse(Author.objects.using("default").count())


def job(request: HttpRequest) -> HttpResponse:
    """Read in a unit of work of its own."""
    with unit_of_work():
        return HttpResponse(Author.objects.count())


def fail(request: HttpRequest) -> HttpResponse:
    """Read, and fail."""
    raise RuntimeError(Author.objects.count())


def listeners(request: HttpRequest) -> JsonResponse:
    """Tell how many listen to decisions and statements while this is served."""
    wrappers = sum(len(connection.execute_wrappers) for connection in connections.all())
    return JsonResponse({"decisions": len(role_decided.receivers), "statements": wrappers})


def moved(request: HttpRequest) -> HttpResponse:
    """Read on a replica, whose session ends meanwhile."""
    return HttpResponse(len(Author.objects.raw(ENDS_ITS_SESSION)))


urlpatterns = [
    path("panel/<request_id>", panel),
    path("page", page),
    path("visit", visit),
    path("by-hand", by_hand),
    path("job", job),
    path("fail", fail),
    path("listeners", listeners),
    path("moved", moved),
    path("__debug__/", include("debug_toolbar.urls")),
    *urls.urlpatterns,
]
