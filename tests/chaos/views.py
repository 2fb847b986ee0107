"""The views of the chaos tests: pages that say which server served them, pages that wait while it dies, levers."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model, login
from django.contrib.contenttypes.models import ContentType
from django.db import Error, connection, connections, transaction
from django.db.models import prefetch_related_objects
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from django_gmf_router import clusters, current_decision
from tests.books.models import Author, Book, Note
from tests.chaos.gate import stand

CLOCK = "clock"
"""The name's beginning of the author that tells the time."""
PORT = "current_setting('port')::int"


def look() -> dict[str, Any]:
    """Read through the ORM, and answer which server and which session it was, and why."""
    (row,) = Author.objects.raw(f"SELECT 1 AS id, '' AS name, {PORT} AS port, pg_backend_pid() AS backend")
    decision = current_decision()
    assert decision is not None
    return {"port": row.port, "backend": row.backend, "alias": decision.alias, "reason": decision.reason}


def signed(**found: Any) -> JsonResponse:
    """Return what was found, and which worker did."""
    return JsonResponse({"pid": os.getpid(), **found})


def pause_at_gate(request: HttpRequest, **told: Any) -> None:
    """Wait until the test that gave its port in the query lets the request go on."""
    stand(int(request.GET["gate"]), told)


# Pages under load


def page(request: HttpRequest) -> JsonResponse:
    """Read several times, as a page does."""
    first = look()
    books = Book.objects.select_related("author").prefetch_related("tags").order_by("id")[:3]
    titles = [f"{book.title} by {book.author} in {len(book.tags.all())}" for book in books]
    return signed(**first, titles=len(titles), last=look()["port"])


async def page_async(request: HttpRequest) -> JsonResponse:
    """Read several times from an async view."""
    first = await sync_to_async(look)()
    count = await Book.objects.acount()
    return signed(**first, titles=count)


def me(request: HttpRequest) -> JsonResponse:
    """Read, and say who is logged in."""
    return signed(**look(), user=request.user.get_username())


def touch(request: HttpRequest) -> JsonResponse:
    """Read, and change the session."""
    request.session["seen"] = time.time()
    return signed(**look(), user=request.user.get_username())


def clock(request: HttpRequest) -> JsonResponse:
    """Say how old the time is that the test writes to a row, in seconds."""
    now = time.time()
    (row,) = Author.objects.raw(
        f"SELECT id, name, {PORT} AS port FROM library_author WHERE name LIKE %s LIMIT 1", [f"{CLOCK} %"]
    )
    return signed(age=now - float(row.name.split()[1]), port=row.port)


@csrf_exempt
def write(request: HttpRequest) -> JsonResponse:
    """Write, and say to which server."""
    author = Author.objects.create(name=request.GET.get("name", "written"))
    return signed(**look(), id=author.pk)


@csrf_exempt
def log_in(request: HttpRequest) -> JsonResponse:
    """Log a user in, by a session in the database."""
    user, _ = get_user_model().objects.get_or_create(username=request.GET["name"])
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return signed(user=user.get_username())


# Pages whose server dies in the middle


def generic_foreign_keys(request: HttpRequest) -> list[str]:
    notes = list(Note.objects.order_by("id")[:3])
    pause_at_gate(request, **look())
    return [note.about.name for note in notes]


def prefetch(request: HttpRequest) -> list[str]:
    authors = list(Author.objects.filter(books__isnull=False).distinct().order_by("id"))
    pause_at_gate(request, **look())
    prefetch_related_objects(authors, "books__tags")
    return [tag.name for author in authors for book in author.books.all() for tag in book.tags.all()]


def using_state_db(request: HttpRequest) -> list[str]:
    note = Note.objects.order_by("id")[0]
    pause_at_gate(request, **look())
    return [Note.objects.using(note._state.db).get(pk=note.pk).text]


def refresh(request: HttpRequest) -> list[str]:
    note = Note.objects.order_by("id")[0]
    pause_at_gate(request, **look())
    note.refresh_from_db()
    return [note.text]


def server_side_iterator(request: HttpRequest) -> list[str]:
    pause_at_gate(request, **look())
    return [book.title for book in Book.objects.order_by("id").iterator(chunk_size=2)]


def half_fetched(request: HttpRequest) -> list[str]:
    books = Book.objects.order_by("id").iterator(chunk_size=2)
    first = next(books).title
    pause_at_gate(request, **look())
    return [first, *(book.title for book in books)]


def read_in_transaction(request: HttpRequest) -> list[str]:
    found = look()
    with transaction.atomic(using=found["alias"]):
        pause_at_gate(request, **look())
        return [str(look()["port"])]


def three_deaths(request: HttpRequest) -> list[str]:
    ports = []
    for _ in range(4):
        found = look()
        ports.append(str(found["port"]))
        pause_at_gate(request, **found)
    return ports


PAGES: dict[str, Callable[[HttpRequest], list[str]]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        generic_foreign_keys,
        prefetch,
        using_state_db,
        refresh,
        server_side_iterator,
        half_fetched,
        read_in_transaction,
        three_deaths,
    )
}


def dies(request: HttpRequest, kind: str) -> JsonResponse:
    """Read, wait at the gate, read on as the page of this kind does, and say where that was."""
    ContentType.objects.clear_cache()
    try:
        found = PAGES[kind](request)
    except Error as error:
        return signed(error=type(error).__name__)
    return signed(found=found, **look())


async def async_iterator(request: HttpRequest) -> JsonResponse:
    """Iterate asynchronously after the gate."""
    await sync_to_async(pause_at_gate)(request, **await sync_to_async(look)())
    found = [book.title async for book in Book.objects.order_by("id").aiterator(chunk_size=2)]
    return signed(found=found, **await sync_to_async(look)())


@csrf_exempt
def write_twice(request: HttpRequest) -> JsonResponse:
    """Write, wait at the gate, and write again."""
    name = request.GET["name"]
    Author.objects.create(name=name)
    pause_at_gate(request, **look())
    Author.objects.create(name=name)
    return signed()


@csrf_exempt
def slow_write(request: HttpRequest) -> JsonResponse:
    """Write a row in one statement that takes so many seconds."""
    sql = "INSERT INTO library_author (name) SELECT %s FROM (SELECT pg_sleep(%s)) AS slept"
    with connection.cursor() as cursor:
        cursor.execute(sql, [request.GET["name"], float(request.GET["seconds"])])
    return signed()


def sleep(request: HttpRequest) -> JsonResponse:
    """Read for so many seconds in one statement."""
    (row,) = Author.objects.raw(
        f"SELECT count(*) AS id, '' AS name, {PORT} AS port, pg_sleep(%s)::text AS slept FROM library_author",
        [float(request.GET["seconds"])],
    )
    return signed(port=row.port)


def held_up(request: HttpRequest) -> JsonResponse:
    """Read once, for as long as the function `hold_up` of the database says for this server."""
    (row,) = Author.objects.raw(f"SELECT 1 AS id, '' AS name, {PORT} AS port, hold_up()::text AS held")
    decision = current_decision()
    assert decision is not None
    return signed(port=row.port, reason=decision.reason)


# Levers


def monitor(request: HttpRequest) -> JsonResponse:
    """Say what this worker knows of the nodes, and which threads of its watch them."""
    look()
    (cluster,) = clusters.registry().clusters
    nodes = {alias: str(health.state) for alias, health in cluster.monitor.snapshot.items()}
    threads = {str(thread.native_id): thread.name for thread in _watchers()}
    return signed(nodes=nodes, threads=threads, hears=all(map(cluster.monitor.is_connected, nodes)))


def kill_monitor(request: HttpRequest) -> JsonResponse:
    """Raise SystemExit in the threads that watch the nodes; they notice when they wake up next."""
    killed = _watchers()
    for thread in killed:
        assert thread.ident is not None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    return signed(threads={str(thread.native_id): thread.name for thread in killed})


def held(request: HttpRequest) -> JsonResponse:
    """Say which node the connection of each alias of this thread is on."""
    look()
    return signed(nodes={alias: getattr(connections[alias], "node", None) for alias in connections})


def _watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("gmf-")]
