"""Are writes seen on the wire, counted, warned of and refused as the settings say?"""

from __future__ import annotations

import contextvars
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.apps import apps
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.core.management import call_command
from django.db import connection, router
from django.http import HttpResponse
from django.test import Client, override_settings
from django.test.utils import isolate_apps

from django_gmf_router import (
    clusters,
    consistency_token,
    current_decision,
    note_write,
    read_after,
    use_primary,
    use_replica,
)  # fmt: skip
from django_gmf_router.backends.cursors import Guard, guard_connection
from django_gmf_router.exceptions import PrimaryUnavailable, UnexpectedWrite
from django_gmf_router.middleware import RoutingMiddleware
from django_gmf_router.replicas.pool import ReplicaPool
from django_gmf_router.routing import writes
from tests.books.models import Author, Book
from tests.conftest import OpenUnit

pytestmark = pytest.mark.django_db


def reason() -> str:
    router.db_for_read(Book)
    decision = current_decision()
    assert decision is not None
    return decision.reason


def configured(**entry: Any) -> Any:
    return override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], **entry}})


@pytest.mark.django_db(transaction=True)
def test_a_get_that_writes_reads_its_own_write(looks: Any) -> None:
    assert [look["reason"] for look in looks("/write")] == ["read_method", "wrote"]


def test_a_raw_write_on_the_primary_counts(open_request: OpenUnit) -> None:
    with open_request():
        assert reason() == "read_method"
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO library_author (name) VALUES ('raw')")
        assert reason() == "wrote"


@pytest.fixture
def unlooked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Fail whoever looks at the models of the site from then on."""
    return lambda: monkeypatch.setattr(writes, "model_tables", lambda _labels: pytest.fail("the models are looked at"))


def test_the_first_page_that_writes_does_not_wait_for_a_look_at_the_models(
    open_request: OpenUnit, unlooked: Callable[[], None]
) -> None:
    with configured():
        clusters.registry()
        unlooked()
        with open_request(), connection.cursor() as cursor:
            cursor.execute("INSERT INTO library_author (name) VALUES ('first')")
            assert reason() == "wrote"


def test_a_cluster_can_be_built_while_models_are_loading(
    monkeypatch: pytest.MonkeyPatch, unlooked: Callable[[], None]
) -> None:
    monkeypatch.setattr(apps, "models_ready", False)
    unlooked()
    with configured():
        assert clusters.registry().clusters


def test_a_raw_read_on_the_primary_does_not_count(open_request: OpenUnit) -> None:
    with open_request():
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM library_author")
        Author.objects.using("default").count()
        assert reason() == "read_method"


def test_executemany_counts(open_request: OpenUnit) -> None:
    with open_request():
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO library_author (name) VALUES (%s)", [("a",), ("b",)])
        assert reason() == "wrote"


def test_a_write_of_a_primary_model_does_not_count(looks: Any) -> None:
    assert [look["reason"] for look in looks("/session")] == ["read_method", "read_method"]


class OwnDatabaseCache(DatabaseCache):
    """A site's own."""


@pytest.mark.parametrize("label", ["Django_Cache.*", "django_cache.CacheEntry"])
@pytest.mark.parametrize("backend", [DatabaseCache, OwnDatabaseCache])
def test_the_database_cache_reads_back_what_it_was_told_and_pins_nothing(
    backend: type[DatabaseCache], label: str, open_request: OpenUnit
) -> None:
    entry = {"REPLICAS": ["replica_1"], "PRIMARY_MODELS": [label]}
    path = f"{backend.__module__}.{backend.__qualname__}"
    call_command("createcachetable", verbosity=0)
    settings = {"GMF_ROUTER": {"default": entry}, "CACHES": {"default": {"BACKEND": path, "LOCATION": "gmf_cache"}}}
    with override_settings(**settings), open_request():
        caches["default"].set("tile", "png")
        assert caches["default"].get("tile") == "png"
        assert reason() == "read_method"


def test_asking_for_the_write_alias_or_building_an_object_counts_nothing(open_request: OpenUnit) -> None:
    author = Author.objects.create(name="Mercator")
    with open_request():
        router.db_for_write(Book)
        Book(author=author).validate_constraints()
        assert reason() == "read_method"


def test_a_transaction_and_its_savepoints_count_for_nothing(open_request: OpenUnit) -> None:
    from django.db import transaction

    with open_request():
        with transaction.atomic(), transaction.atomic():
            pass
        assert reason() == "read_method"


def test_the_guard_is_installed_once_however_often_the_connection_opens() -> None:
    for _ in range(3):
        guard_connection(connection)
    assert sum(isinstance(wrapper, Guard) for wrapper in connection.execute_wrappers) == 1


def test_the_guard_outlives_an_execute_wrapper_block_in_which_the_connection_opened() -> None:
    connection.execute_wrappers.clear()

    def other(execute: Any, *args: Any) -> Any:
        return execute(*args)

    with connection.execute_wrapper(other):
        guard_connection(connection)
    assert [type(wrapper) for wrapper in connection.execute_wrappers] == [Guard]


def test_a_connection_that_was_open_before_the_settings_is_guarded(open_request: OpenUnit) -> None:
    with override_settings(GMF_ROUTER={}):
        connection.execute_wrappers.clear()
        guard_connection(connection)
    with configured(), open_request():
        assert reason() == "read_method"
        Author.objects.create(name="seen")
        assert reason() == "wrote"


def test_an_unexpected_write_is_logged_once_per_view_with_the_line_to_add(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with configured(), caplog.at_level(logging.WARNING, "django_gmf_router"):
        for _ in range(3):
            client.get("/write")
    (record,) = [record for record in caplog.records if record.name == "django_gmf_router"]
    message = record.getMessage()
    assert message.startswith("GET /write writes to the primary (INSERT library.Author), though the rules")
    assert "It works; 2 reads go to the primary after it." in message
    assert message.endswith(""".setdefault("master", []).append(r"(GET|HEAD) /write$")""")
    assert (record.event, record.levelname) == ("unexpected_write", "WARNING")  # type: ignore[attr-defined]


def test_a_path_forges_no_line_of_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with configured(UNEXPECTED_PRIMARY_READS="warn"), caplog.at_level(logging.WARNING, "django_gmf_router"):
        client.get("/write/a%0AERROR%20forged")
    records = [record for record in caplog.records if record.name == "django_gmf_router"]
    assert [record.event for record in records] == ["unexpected_write", "unexpected_primary_read"]  # type: ignore[attr-defined]
    assert [record.getMessage() for record in records if "\n" in record.getMessage()] == []


def test_the_line_to_add_mends_it(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with configured(DB_CHOOSER={"master": [r"(GET|HEAD) /write$"]}):
        assert [look["reason"] for look in client.get("/write").json()["looks"]] == ["master_override"] * 2
    assert not caplog.records


@pytest.mark.parametrize("path", ["/session", "/where"])
def test_expected_writes_are_not_logged(client: Client, caplog: pytest.LogCaptureFixture, path: str) -> None:
    with configured():
        client.get(path)
    with configured(UNEXPECTED_WRITES="allow"):
        client.get("/write")
    assert not [record for record in caplog.records if record.name == "django_gmf_router"]


@pytest.mark.parametrize(
    ("words", "logged"),
    [
        ({"allow": ["GET /write"]}, 0),
        ({"allow": ["GET /other"]}, 1),
        ({"refuse": ["GET /.*"], "allow": ["GET /write$"]}, 0),
        ({"refuse": ["GET /.*"], "warn": ["GET /write$"]}, 1),
        ({}, 1),
    ],
    ids=str,
)
def test_patterns_say_which_writes_are_expected(
    client: Client, caplog: pytest.LogCaptureFixture, words: Any, logged: int
) -> None:
    with configured(UNEXPECTED_WRITES=words):
        assert client.get("/write").status_code == 200
    assert len([record for record in caplog.records if record.name == "django_gmf_router"]) == logged


@pytest.mark.django_db(transaction=True)
def test_patterns_say_which_writes_are_refused(open_request: OpenUnit) -> None:
    with configured(UNEXPECTED_WRITES={"refuse": ["GET /write$"]}):
        with open_request("GET", "/write"), pytest.raises(UnexpectedWrite):
            Author.objects.create(name="refused")
        with open_request("GET", "/other"):
            Author.objects.create(name="warned of")
    assert Author.objects.count() == 1


def test_a_write_inside_use_primary_is_expected(open_request: OpenUnit, caplog: pytest.LogCaptureFixture) -> None:
    with configured(UNEXPECTED_WRITES="refuse"), open_request("GET", "/write"):
        with use_primary():
            Author.objects.create(name="expected")
        assert reason() == "wrote"
    assert not caplog.records


@pytest.mark.django_db(transaction=True)
def test_a_refused_write_is_refused_before_it_is_done(open_request: OpenUnit) -> None:
    with (
        configured(UNEXPECTED_WRITES="refuse"),
        open_request("GET", "/write"),
        pytest.raises(UnexpectedWrite, match=re.escape("GET /write writes to the primary (INSERT library.Author)")),
    ):
        Author.objects.create(name="refused")
    assert not Author.objects.exists()


def test_a_post_may_write(open_request: OpenUnit) -> None:
    with configured(UNEXPECTED_WRITES="refuse"), open_request("POST", "/write"):
        Author.objects.create(name="posted")
    assert Author.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_write_before_the_first_read_outside_requests_counts() -> None:
    def work() -> None:
        Author.objects.create(name="first")
        assert reason() == "wrote"

    with configured(OUTSIDE_REQUESTS="replica"):
        contextvars.copy_context().run(work)


@pytest.mark.django_db(transaction=True)
def test_every_view_of_a_regular_expression_is_logged_once(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with configured():
        for number in range(3):
            client.get(f"/old/write/{number}")
    (record,) = [record for record in caplog.records if record.name == "django_gmf_router"]
    assert r"/old/write/(?P<number>\d+)$" in record.getMessage()


@pytest.mark.django_db(transaction=True)
def test_each_view_that_writes_is_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with configured():
        for path in ("/old/write/1", "/write", "/write"):
            client.get(path)
    told = [record.getMessage() for record in caplog.records if record.name == "django_gmf_router"]
    assert [" /old/write" in text for text in told] == [True, False]


def test_writes_outside_requests_are_nobodys_business(caplog: pytest.LogCaptureFixture) -> None:
    with configured(UNEXPECTED_WRITES="refuse", OUTSIDE_REQUESTS="primary"):
        Author.objects.create(name="command")
    assert not caplog.records


# What counts as a write


@pytest.mark.django_db(transaction=True)
@isolate_apps("tests.books")
def test_a_proxy_among_the_primary_models_does_not_hide_the_writes_to_its_table(open_request: OpenUnit) -> None:
    from django.apps import apps as real_apps

    class FamousAuthor(Author):
        class Meta:
            app_label = "library"
            proxy = True

    real_apps.register_model("library", FamousAuthor)
    try:
        with configured(PRIMARY_MODELS=["library.FamousAuthor"]), open_request():
            assert reason() == "read_method"
            Author.objects.create(name="seen")
            assert reason() == "wrote"
        entry = {"PRIMARY_MODELS": ["library.FamousAuthor"], "UNEXPECTED_WRITES": "refuse"}
        with configured(**entry), open_request(), pytest.raises(UnexpectedWrite):
            Author.objects.create(name="not hidden")
    finally:
        del real_apps.all_models["library"]["famousauthor"]
        real_apps.clear_cache()


def test_a_write_to_a_primary_model_counts_since_others_join_it_but_is_not_unexpected(open_request: OpenUnit) -> None:
    entry = {"PRIMARY_MODELS": ["library.Author"], "UNEXPECTED_WRITES": "refuse"}
    with configured(**entry), open_request():
        assert reason() == "read_method"
        Author.objects.create(name="joined")
        assert reason() == "wrote"


@pytest.mark.parametrize(
    "sql",
    [
        "WITH gone AS (DELETE FROM django_session RETURNING 1) UPDATE library_author SET name = ''",
        "/* like UPDATE django_session */ UPDATE library_author SET name = ''",
        "SET x = 1; UPDATE library_author SET name = ''",
        "DELETE FROM django_session; CALL p()",
    ],
)
def test_a_write_beside_one_to_a_session_counts(open_request: OpenUnit, sql: str) -> None:
    (cluster,) = clusters.registry().clusters
    with open_request("POST") as unit:
        cluster.writes.note(sql)
        assert unit.wrote


def test_a_session_that_is_written_alone_does_not_count(open_request: OpenUnit) -> None:
    (cluster,) = clusters.registry().clusters
    with open_request("POST") as unit:
        cluster.writes.note("UPDATE django_session SET expire_date = %s")
        cluster.writes.note("INSERT INTO django_session (session_key) VALUES (%s) ON CONFLICT DO UPDATE SET x = 1")
        assert not unit.wrote


INSERT = "INSERT INTO library_author (name) VALUES (%s)"


def away(*_: object, may_be_saved: bool = False) -> None:
    """Fail as where the primary is away: when it goes, nobody can choose to the statement."""
    raise PrimaryUnavailable("default", may_be_saved=may_be_saved)


@pytest.mark.parametrize("may_be_saved", [True, False])
@pytest.mark.parametrize("wrote_before", [True, False])
def test_a_write_that_came_to_no_primary_does_not_count(
    open_request: OpenUnit, may_be_saved: bool, wrote_before: bool
) -> None:
    with open_request("GET") as unit:
        if wrote_before:
            Author.objects.create(name="before")
        with pytest.raises(PrimaryUnavailable):
            run = partial(away, may_be_saved=may_be_saved)
            Guard("default")(run, INSERT, ("away",), False, {"connection": connection})
        assert unit.wrote is (may_be_saved or wrote_before)
        assert reason() == ("wrote" if unit.wrote else "read_method")


def test_a_write_that_came_to_no_primary_is_not_told_and_the_next_one_is(
    open_request: OpenUnit, caplog: pytest.LogCaptureFixture
) -> None:
    with configured():
        for fails in (True, False):
            with open_request("GET"), suppress(PrimaryUnavailable):
                run = away if fails else (lambda *_: None)
                Guard("default")(run, INSERT, ("away",), False, {"connection": connection})
            assert [record.event for record in caplog.records] == ([] if fails else ["unexpected_write"])  # type: ignore[attr-defined]


def test_what_is_selected_by_hand_inside_use_primary_counts_as_a_write(open_request: OpenUnit) -> None:
    with open_request("GET") as unit, use_primary(), connection.cursor() as cursor:
        list(Author.objects.all())
        assert not unit.wrote
        cursor.execute("SELECT abs(1)")
        assert unit.wrote


def test_what_is_selected_by_hand_inside_use_replica_does_not_count(open_request: OpenUnit) -> None:
    with open_request("POST") as unit, use_replica(), connection.cursor() as cursor:
        cursor.execute("SELECT abs(1)")
        assert not unit.wrote


def test_a_write_of_another_process_can_be_noted(open_request: OpenUnit) -> None:
    with open_request() as unit:
        assert reason() == "read_method"
        note_write()
        assert (unit.wrote, reason()) == (True, "wrote")
    note_write()
    with pytest.raises(LookupError, match="'elsewhere'"):
        note_write("elsewhere")


@pytest.mark.django_db(transaction=True)
def test_a_request_within_a_view_writes_for_the_request_around_it(rf: Any) -> None:
    from django.core.handlers.wsgi import WSGIHandler

    handler = WSGIHandler()
    seen: list[str] = []

    def view(request: Any) -> HttpResponse:
        seen.append(reason())
        inner = handler.get_response(rf.post("/save"))
        assert inner.status_code == 201
        seen.append(reason())
        return HttpResponse()

    response = RoutingMiddleware(view)(rf.get("/batch"))
    assert seen == ["read_method", "wrote"]
    assert "gmf_token" in response.cookies


# Outside requests


@pytest.mark.parametrize("first", ["read", "session"])
@pytest.mark.django_db(transaction=True)
def test_a_block_outside_requests_lasts_while_the_first_read_opens_a_unit_of_work(first: str) -> None:
    def work() -> None:
        with use_primary():
            if first == "session":
                SessionStore().save()
            assert [reason() for _ in range(2)] == ["use_primary"] * 2
        assert reason() == "outside_request"
        with read_after("forged"):
            assert [reason() for _ in range(3)] == ["consistency"] * 3
        assert reason() == "outside_request"

    with configured(OUTSIDE_REQUESTS="replica"):
        contextvars.copy_context().run(work)


@pytest.mark.django_db(transaction=True)
def test_a_first_write_outside_requests_inside_a_block_keeps_the_block() -> None:
    def work() -> None:
        with use_replica():
            Author.objects.create(name="written")
            assert reason() == "use_replica"
        assert reason() == "wrote"

    with configured(OUTSIDE_REQUESTS="replica"):
        contextvars.copy_context().run(work)


def test_a_token_outside_requests_tells_of_all_that_is_committed_after_a_read_too() -> None:
    def work() -> None:
        assert reason() == "outside_request"
        assert consistency_token() is not None

    with configured(OUTSIDE_REQUESTS="replica"):
        contextvars.copy_context().run(work)


@pytest.mark.usefixtures("unmirrored")
@pytest.mark.django_db(transaction=True, databases=["default", "replica_1", "replica_2"])
def test_a_task_that_outlives_its_request_is_outside_requests_whenever_it_reads(
    open_request: OpenUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The request ends while the task's first read is decided.
    with open_request() as unit:
        pick = ReplicaPool.pick

        def slow_pick(pool: ReplicaPool, *args: Any) -> Any:
            unit.close()
            return pick(pool, *args)

        monkeypatch.setattr(ReplicaPool, "pick", slow_pick)
        router.db_for_read(Book)
        monkeypatch.undo()
        assert router.db_for_read(Book) == "default"
        assert current_decision() is None


@pytest.mark.usefixtures("unmirrored")
@pytest.mark.django_db(transaction=True, databases=["default", "replica_1"])
def test_a_token_in_a_cache_in_the_database_that_is_no_primary_model_is_found(client: Client) -> None:
    call_command("createcachetable", verbosity=0)
    entry = {"PRIMARY_MODELS": ["sessions.*"], "CONSISTENCY": {"STORE": "cache"}}
    cached = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "gmf_cache"}}
    with configured(**entry), override_settings(CACHES=cached):
        client = Client(headers={"authorization": "Bearer a client"})
        assert client.post("/save").status_code == 201
        assert client.get("/one-read").json()["reason"] == "consistency"
