"""Views that read and write a schema which is being replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connections, router, transaction
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from tests.books.models import Author, Tag
from tests.waiting import until

SWAP_SECONDS = 60
VERSION = "SELECT version, feel FROM release"


def one(sql: str) -> tuple[Any, ...]:
    """Run one statement where the router says."""
    with connections[router.db_for_read(Author)].cursor() as cursor:
        cursor.execute(sql)
        row: tuple[Any, ...] = cursor.fetchone()
        return row


def version(request: HttpRequest) -> JsonResponse:
    """One statement that reads."""
    return JsonResponse({"version": one(VERSION)[0]})


def stand() -> list[Any]:
    """Return which schema is published, as each replica sees it."""
    found = []
    for alias in ("replica_1", "replica_2"):
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT 'prod'::regnamespace::oid")
            found += cursor.fetchone()
    return found


def wait_for_the_swap(before: list[Any]) -> None:
    """Return when all replicas have seen another schema take its place."""
    until(lambda: not set(stand()) & set(before), SWAP_SECONDS, "both replicas have seen the swap")


def page(request: HttpRequest) -> JsonResponse:
    """Two statements that read, a swap between them; in a transaction on demand."""
    before = stand()
    if "isolation" not in request.GET:
        first = one(VERSION)[0]
        wait_for_the_swap(before)
        return JsonResponse({"versions": [first, one(VERSION)[0]]})
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {request.GET['isolation']}")
        cursor.execute("SELECT version FROM other")
        versions = list(cursor.fetchone())
        wait_for_the_swap(before)
        cursor.execute("SELECT version FROM release")
        versions += cursor.fetchone() or [None]
    return JsonResponse({"versions": versions})


def in_transaction(request: HttpRequest) -> JsonResponse:
    """A read inside a transaction."""
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute(VERSION)
        return JsonResponse({"version": cursor.fetchone()[0]})


@csrf_exempt
def write(request: HttpRequest) -> JsonResponse:
    """One statement that writes."""
    with connections["default"].cursor() as cursor:
        cursor.execute("INSERT INTO visit (at) VALUES (now())")
    return JsonResponse({})


def rows(request: HttpRequest) -> StreamingHttpResponse:
    """A cursor of the server, which is open during a swap."""

    def body() -> Iterator[str]:
        before = stand()
        for number, tag in enumerate(Tag.objects.order_by("id").iterator(chunk_size=10)):
            if number == 10:
                wait_for_the_swap(before)
            yield f"{tag.name}\n"

    return StreamingHttpResponse(body())


urlpatterns = [
    path("version", version),
    path("page", page),
    path("in-transaction", in_transaction),
    path("write", write),
    path("rows", rows),
]
