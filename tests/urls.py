"""The views of the package's own tests; each says where its reads went."""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.db import Error, connections, router, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt

from django_gmf_router import current_decision, read_after, use_primary, use_replica
from django_gmf_router.exceptions import PrimaryUnavailable
from django_gmf_router.postgres.sqlstates import sqlstate
from tests.books.models import Author, Book


def look() -> dict[str, Any]:
    """Read once through the ORM, and answer how that was decided and, on PostgreSQL, which server it was."""
    vendor = connections[router.db_for_read(Book)].vendor
    port = "inet_server_port()" if vendor == "postgresql" else "0"
    (row,) = Author.objects.raw(f"SELECT 1 AS id, '' AS name, {port} AS port")
    decision = current_decision()
    assert decision is not None
    return {"role": decision.role, "alias": decision.alias, "reason": decision.reason, "port": row.port}


@csrf_exempt
def where(request: HttpRequest, **kwargs: Any) -> JsonResponse:
    """Look several times."""
    return JsonResponse({"looks": [look() for _ in range(3)]})


@csrf_exempt
async def where_async(request: HttpRequest) -> JsonResponse:
    """Look several times from an async view."""
    return JsonResponse({"looks": [await sync_to_async(look)() for _ in range(3)]})


def atomic(request: HttpRequest) -> JsonResponse:
    """Look inside a transaction on the primary, and after it."""
    with transaction.atomic():
        inside = look()
    return JsonResponse({"looks": [inside, look()]})


@transaction.non_atomic_requests
def not_atomic(request: HttpRequest) -> JsonResponse:
    """Look inside a transaction of the view's own, which ATOMIC_REQUESTS leaves alone."""
    return atomic(request)


def read_from(request: HttpRequest, alias: str) -> JsonResponse:
    """Read from an alias by its name, and answer which server that was."""
    (row,) = Author.objects.using(alias).raw("SELECT 1 AS id, '' AS name, inet_server_port() AS port")
    return JsonResponse({"port": row.port})


def write(request: HttpRequest, **kwargs: Any) -> JsonResponse:
    """Look, write on a GET, and look again."""
    before = look()
    Author.objects.create(name="written")
    return JsonResponse({"looks": [before, look()]})


def attempt(request: HttpRequest) -> JsonResponse:
    """Write on a GET, go on without it where no primary answers, and look."""
    with suppress(PrimaryUnavailable):
        Author.objects.create(name="attempted")
    return JsonResponse(look())


@csrf_exempt
def save(request: HttpRequest) -> HttpResponse:
    """Write through the ORM, read nothing, and fail afterwards if asked to."""
    Author.objects.create(name="saved")
    if "fail" in request.GET:
        raise RuntimeError("after a committed write")
    return HttpResponse(status=201)


@csrf_exempt
def save_by_hand(request: HttpRequest) -> HttpResponse:
    """Write on a cursor of the primary."""
    with connections["default"].cursor() as cursor:
        cursor.execute("INSERT INTO library_author (name) VALUES ('saved by hand')")
    return HttpResponse(status=201)


@csrf_exempt
async def save_async(request: HttpRequest) -> HttpResponse:
    """Write from an async view."""
    await Author.objects.acreate(name="saved")
    return HttpResponse(status=201)


@csrf_exempt
@transaction.atomic
def save_on_commit(request: HttpRequest) -> HttpResponse:
    """Write once the transaction has been committed."""
    transaction.on_commit(lambda: Author.objects.create(name="saved on commit"))
    return HttpResponse(status=201)


@csrf_exempt
def only_read(request: HttpRequest) -> HttpResponse:
    """Read through the ORM, whatever the method."""
    return HttpResponse(Author.objects.count())


def one_read(request: HttpRequest) -> JsonResponse:
    """Read once."""
    return JsonResponse(look())


def eventual(request: HttpRequest) -> JsonResponse:
    """Read once from any replica."""
    with use_replica(level="eventual"):
        return JsonResponse(look())


def after(request: HttpRequest) -> JsonResponse:
    """Read once, at least what a token says."""
    with read_after(request.GET["token"]), use_replica():
        return JsonResponse(look())


def session(request: HttpRequest) -> JsonResponse:
    """Write nothing but the session, and look."""
    before = look()
    request.session["seen"] = True
    request.session.save()
    return JsonResponse({"looks": [before, look()]})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Look while the body is made."""
    return StreamingHttpResponse(f"{look()['reason']} {look()['port']}\n" for _ in range(3))


def stream_and_save(request: HttpRequest) -> StreamingHttpResponse:
    """Write while the body is made."""

    def body() -> Any:
        Author.objects.create(name="streamed")
        yield "saved"

    return StreamingHttpResponse(body())


async def stream_and_save_async(request: HttpRequest) -> StreamingHttpResponse:
    """Write while the body streams, in a task."""

    async def body() -> Any:
        await Author.objects.acreate(name="streamed in a task")
        yield "saved"

    return StreamingHttpResponse(body())


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    """Look while the body is made asynchronously."""

    async def body() -> Any:
        for _ in range(3):
            seen = await sync_to_async(look)()
            yield f"{seen['reason']} {seen['port']}\n"

    return StreamingHttpResponse(body())


def tick() -> str:
    """Return how many authors there are by now, and which role and alias read that."""
    count, decision = Author.objects.count(), current_decision()
    assert decision is not None
    return json.dumps({"count": count, "role": decision.role, "alias": decision.alias}) + "\n"


def ticks(request: HttpRequest) -> StreamingHttpResponse:
    """Read again and again, for a minute at most, as one who sends events does."""

    def body() -> Any:
        for _ in range(3000):
            yield tick()
            time.sleep(0.02)  # the pace of the stream

    return StreamingHttpResponse(body())


async def ticks_async(request: HttpRequest) -> StreamingHttpResponse:
    """Do the same in a task."""

    async def body() -> Any:
        for _ in range(3000):
            yield await sync_to_async(tick)()
            await asyncio.sleep(0.02)  # the pace of the stream

    return StreamingHttpResponse(body())


@use_primary()
def lazy(request: HttpRequest) -> TemplateResponse:
    """Look while the template renders."""
    return TemplateResponse(request, engines["django"].from_string("{{ look.reason }}"), {"look": look})


def reasons_around_a_transaction() -> str:
    """Look inside a transaction on the primary, and after it."""
    with transaction.atomic():
        inside = look()["reason"]
    return f"{inside} {look()['reason']}"


def atomic_while_rendering(request: HttpRequest) -> TemplateResponse:
    """Open the first transaction while the template renders."""
    template = engines["django"].from_string("{{ reasons }}")
    return TemplateResponse(request, template, {"reasons": reasons_around_a_transaction})


def atomic_while_streaming(request: HttpRequest) -> StreamingHttpResponse:
    """Open the first transaction while the body is made."""
    return StreamingHttpResponse(reasons_around_a_transaction() for _ in range(1))


def explained(write: Callable[[], Any]) -> JsonResponse:
    """Return how a write was refused."""
    try:
        write()
    except Error as error:
        notes = getattr(error, "__notes__", [str(error)])
        return JsonResponse({"class": type(error).__name__, "sqlstate": sqlstate(error), "notes": notes})
    return JsonResponse({"class": None})


def refused(request: HttpRequest) -> JsonResponse:
    """Write with a raw query, which goes to the alias of reads."""
    sql = "INSERT INTO library_author (name) VALUES ('raw') RETURNING id, name"
    return explained(lambda: list(Author.objects.raw(sql)))


def refused_using(request: HttpRequest, alias: str) -> JsonResponse:
    """Write to an alias by its name."""
    return explained(lambda: Author.objects.using(alias).create(name="refused"))


def sessions(request: HttpRequest) -> JsonResponse:
    """Ask each server of what it is, and how its session stands."""
    found = {}
    for alias in sorted(connections):
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT inet_server_port(), current_setting('default_transaction_read_only')")
            found[alias] = [*cursor.fetchone(), connections[alias].get_connection_params().get("connect_timeout")]
    return JsonResponse(found)


def books(request: HttpRequest) -> HttpResponse:
    """Use every kind of read that asks the router."""
    with use_replica():
        count = Book.objects.count()
    list(Book.objects.select_related("author").prefetch_related("tags"))
    return HttpResponse(count)


def failed(request: HttpRequest) -> HttpResponse:
    """Return what went wrong, so that a failing test shows it."""
    return HttpResponse(traceback.format_exc(), status=500, content_type="text/plain")


handler500 = failed
urlpatterns = [
    path("where", where),
    path("where-async", where_async),
    path("s/<slug:ref>", where),
    path("printproxy/<path:rest>", where),
    path("search", where),
    path("atomic", atomic),
    path("not-atomic", not_atomic),
    path("atomic-while-rendering", atomic_while_rendering),
    path("atomic-while-streaming", atomic_while_streaming),
    path("read-from/<alias>", read_from),
    path("write", write),
    path("attempt", attempt),
    path("write/<title>", write),
    re_path(r"^old/write/(?P<number>\d+)$", write),
    path("session", session),
    path("save", save),
    path("save-async", save_async),
    path("save-by-hand", save_by_hand),
    path("save-on-commit", save_on_commit),
    path("only-read", only_read),
    path("one-read", one_read),
    path("eventual", eventual),
    path("after", after),
    path("stream", stream),
    path("stream-async", stream_async),
    path("stream-and-save", stream_and_save),
    path("stream-and-save-async", stream_and_save_async),
    path("ticks", ticks),
    path("ticks-async", ticks_async),
    path("lazy", lazy),
    path("refused", refused),
    path("refused/<alias>", refused_using),
    path("sessions", sessions),
    path("books", books),
    path("gmf/", include("django_gmf_router.urls")),
    path("admin/", admin.site.urls),
]
