"""Are writes seen on the wire, counted, warned of and refused as the settings say?"""

from __future__ import annotations

import contextvars
import logging
import re
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.core.management import call_command
from django.db import connection, router
from django.test import Client, override_settings

from django_gmf_router import current_decision, use_primary
from django_gmf_router.backends.cursors import Guard, guard_connection
from django_gmf_router.exceptions import UnexpectedWrite
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
    assert message.startswith("GET /write writes to the primary (INSERT library.Author), but the rules")
    assert """Add GMF_ROUTER['default']["DB_CHOOSER"]["master"]: r"(GET|HEAD) /write$\"""" in message
    assert (record.event, record.levelname) == ("unexpected_write", "WARNING")  # type: ignore[attr-defined]


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


def test_writes_outside_requests_are_nobodys_business(caplog: pytest.LogCaptureFixture) -> None:
    with configured(UNEXPECTED_WRITES="refuse", OUTSIDE_REQUESTS="primary"):
        Author.objects.create(name="command")
    assert not caplog.records
