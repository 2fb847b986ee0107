"""What do the requests of the benchmarks ask for? Nothing, or one read decision of the router that is measured."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.urls import path

from benchmarks import site

ROUTERS = site.routers()


def no_query(_request: HttpRequest, router: str) -> HttpResponse:  # noqa: ARG001
    """Return without a query."""
    return HttpResponse(b"ok")


def one_decision(_request: HttpRequest, router: str) -> HttpResponse:
    """Ask `router` once."""
    ROUTERS[router].db_for_read(Group)
    return HttpResponse(b"ok")


async def no_query_async(_request: HttpRequest, router: str) -> HttpResponse:  # noqa: ARG001
    """Return without a query."""
    return HttpResponse(b"ok")


async def one_decision_async(_request: HttpRequest, router: str) -> HttpResponse:
    """Ask `router` once."""
    ROUTERS[router].db_for_read(Group)
    return HttpResponse(b"ok")


urlpatterns = [
    path("none/<str:router>", no_query),
    path("one/<str:router>", one_decision),
    path("a/none/<str:router>", no_query_async),
    path("a/one/<str:router>", one_decision_async),
]
