"""Which server is reached through an object that a replica served, where Django asks no router? On paused replicas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.scripts import Ask, script
from tests.cluster.sites import DRIVERS, environment

ENGINES = ("django_gmf_router.backends.postgresql", "django.db.backends.postgresql")

SITE = """
import asyncio, json, pickle, sys, django
django.setup()
from asgiref.sync import sync_to_async
from django.db import InternalError, connections
from django.http import HttpResponse, JsonResponse
from django.test import RequestFactory
from django_gmf_router import use_primary, use_replica
from django_gmf_router.middleware import RoutingMiddleware
from tests.books.models import Author, Note

def author(pk):
    return Author.objects.get(pk=pk)

def first_note(pk):
    return author(pk).notes.order_by("pk").first()

def rename(pk):
    Author.objects.filter(pk=pk).update(name="new")

def write(pk):
    read = author(pk)
    before = read._state.db
    changed = read.notes.filter(text="old").update(text="new")
    gone, _ = read.notes.filter(text="gone").delete()
    return [before != "default", changed, gone, sorted(note.text for note in read.notes.all())]

def write_in_use_replica(pk):
    with use_replica():
        return write(pk)[:3]

def follow(pk):
    read = first_note(pk)
    before = read._state.db
    rename(pk)
    return [before != "default", read.about.name]

def follow_in_use_primary(pk):
    read = first_note(pk)
    before = read._state.db
    with use_primary():
        return [before != "default", read.about.name]

def stay(pk):
    read = first_note(pk)
    return [read._state.db != "default", read.about.name]

def keep(pk):
    global kept
    kept = pickle.dumps(first_note(pk))
    return [pickle.loads(kept)._state.db]

def use_kept(pk):
    return [pickle.loads(kept).about.name]

def by_hand(pk):
    read = Note.objects.using("replica_1").filter(object_id=pk).order_by("pk")[0]
    rename(pk)
    try:
        Note.objects.using("replica_1").filter(pk=read.pk).update(text="by hand")
    except InternalError as error:
        return [read.about.name, str(error).splitlines()[0]]

def request(method, view, pk, is_async):
    def get_response(request):
        return JsonResponse(view(pk), safe=False)
    async def get_response_async(request):
        return await sync_to_async(get_response)(request)
    built = RequestFactory().generic(method, "/", headers={"cookie": cookies})
    if is_async:
        return asyncio.run(RoutingMiddleware(get_response_async)(built))
    return RoutingMiddleware(get_response)(built)

for line in sys.stdin:
    how, method, view, pk, *cookie = line.split()
    cookies = " ".join(cookie)
    response = request(method, globals()[view], int(pk), how == "async")
    token = response.cookies.get("gmf_token")
    print(json.dumps([json.loads(response.content), token and token.OutputString().partition(";")[0]]), flush=True)
"""


class Objects:
    """A site without a web server, and rows of its own for each test, which the replicas have as they were."""

    def __init__(self, ask: Ask, how: str, pk: int) -> None:
        self._ask, self._how, self._pk = ask, how, pk

    def __call__(self, method: str, view: str, cookie: str = "") -> Any:
        """Return what the view answered, and the client's cookie after it."""
        return json.loads(self._ask(f"{self._how} {method} {view} {self._pk} {cookie}"))


@pytest.fixture(scope="module", params=[(engine, driver) for engine in ENGINES for driver in DRIVERS], ids="-".join)
def asked(request: pytest.FixtureRequest, migrated: LocalCluster) -> Iterator[Ask]:
    engine, driver = request.param
    router = {"HEALTH": {"MAX_LAG": 600}}
    with script(SITE, environment(migrated, driver, router=router, engine=engine, CONN_MAX_AGE=0)) as ask:
        yield ask


@pytest.fixture(params=["sync", "async"])
def objects(request: pytest.FixtureRequest, asked: Ask, gmf_cluster: LocalCluster) -> Objects:
    rows = gmf_cluster.execute(
        "primary",
        """
        INSERT INTO django_content_type (app_label, model) VALUES ('library', 'author') ON CONFLICT DO NOTHING;
        WITH author AS (INSERT INTO library_author (name) VALUES ('old') RETURNING id),
        type AS (SELECT id FROM django_content_type WHERE (app_label, model) = ('library', 'author'))
        INSERT INTO library_note (text, content_type_id, object_id)
        SELECT text, type.id, author.id FROM author, type, (VALUES ('old'), ('gone')) AS notes (text)
        RETURNING object_id
        """,
    )
    gmf_cluster.wait_for_replay()
    for node in ("replica_1", "replica_2"):
        gmf_cluster.pause(node)
    return Objects(asked, request.param, int(rows[0][0]))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_write_through_a_generic_relation_reaches_the_primary_and_gives_a_token(
    objects: Objects, method: str
) -> None:
    answer, cookie = objects(method, "write")
    assert answer == [method == "GET", 1, 1, ["new"]]
    assert cookie is not None


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_write_through_a_generic_relation_inside_use_replica_reaches_the_primary(
    objects: Objects, method: str
) -> None:
    answer, cookie = objects(method, "write_in_use_replica")
    assert answer == [True, 1, 1]
    assert cookie is not None


def test_a_generic_foreign_key_reads_what_this_request_wrote(objects: Objects) -> None:
    answer, cookie = objects("GET", "follow")
    assert answer == [True, "new"]
    # So it does for the client's next request, whose objects are the primary's.
    assert objects("GET", "stay", cookie)[0] == [False, "new"]
    # A stranger's stay with the replica, as it was.
    assert objects("GET", "stay")[0] == [True, "old"]


def test_a_generic_foreign_key_is_read_where_a_block_says(objects: Objects, gmf_cluster: LocalCluster) -> None:
    objects("POST", "follow")
    assert objects("GET", "follow_in_use_primary")[0] == [True, "new"]


def test_an_object_out_of_a_cache_is_the_primarys(objects: Objects) -> None:
    assert objects("GET", "keep")[0] == ["default"]
    _, cookie = objects("POST", "follow")
    for method, client in (("POST", ""), ("GET", cookie)):
        assert objects(method, "use_kept", client)[0] == ["new"]


def test_what_a_query_says_by_hand_is_obeyed(objects: Objects) -> None:
    answer, _ = objects("GET", "by_hand")
    assert answer == ["old", "cannot execute UPDATE in a read-only transaction"]
