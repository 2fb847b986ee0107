"""Do writes give a client a token, and reads ask for nothing, through Django's whole stack?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import AsyncClient, Client, override_settings

from django_gmf_router import clusters, consistency_token, current_decision, read_after, use_primary, use_replica
from django_gmf_router.testing import assert_routed_to
from tests.books.models import Author
from tests.conftest import OpenUnit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def unwatched(unmirrored: None) -> None:
    """Replicas of their own, which nobody watches, on one SQLite file: no positions, so that the time counts."""


def test_a_write_gives_a_token_and_a_read_none(client: Client) -> None:
    assert "gmf_token" not in client.get("/one-read").cookies
    assert "gmf_token" not in client.post("/only-read").cookies
    cookie = client.post("/save").cookies["gmf_token"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"], cookie["secure"]) == (True, "Lax", 60, "")
    assert "gmf_token" not in client.get("/one-read").cookies


def test_the_cookie_is_secure_when_the_request_is(client: Client) -> None:
    assert client.post("/save", secure=True).cookies["gmf_token"]["secure"]


def test_a_write_that_ends_in_an_error_gives_a_token() -> None:
    response = Client(raise_request_exception=False).post("/save?fail")
    assert response.status_code == 500
    assert "gmf_token" in response.cookies


def test_writes_of_an_async_view_and_on_commit_give_a_token(client: Client) -> None:
    assert "gmf_token" in client.post("/save-on-commit").cookies
    assert "gmf_token" in asyncio.run(AsyncClient().post("/save-async")).cookies


def test_a_test_case_reads_from_the_replica_after_a_post(client: Client) -> None:
    client.post("/save")
    with assert_routed_to("replica"):
        client.get("/one-read")


@pytest.mark.usefixtures("unwatched")
@pytest.mark.django_db(transaction=True, databases=["default", "replica_1", "replica_2"])
def test_without_positions_a_client_reads_the_primary_for_the_window(client: Client) -> None:
    assert client.get("/one-read").json()["reason"] == "read_method"
    client.post("/save")
    assert client.get("/one-read").json()["reason"] == "consistency"
    assert client.get("/eventual").json()["role"] == "replica"
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], "CONSISTENCY": {"WINDOW": 0}}}):
        assert client.get("/one-read").json()["reason"] == "read_method"
    assert Client().get("/one-read").json()["reason"] == "read_method"


@pytest.mark.usefixtures("unwatched")
def test_what_was_selected_by_hand_in_a_request_for_the_primary_counts_as_a_write(open_request: OpenUnit) -> None:
    with open_request("POST") as unit, connection.cursor() as cursor:
        list(Author.objects.all())
        Author.objects.count()
        Author.objects.exists()
        assert not unit.wrote
        cursor.execute("SELECT abs(1)")
        assert unit.wrote
    with open_request("GET") as unit, connection.cursor() as cursor:
        cursor.execute("SELECT abs(1)")
        assert not unit.wrote


def test_the_token_of_a_unit_of_work_is_what_it_wrote(open_request: OpenUnit) -> None:
    with open_request("POST"):
        assert consistency_token() is None
        Author.objects.create(name="written")
        assert isinstance(consistency_token(), str)


@pytest.mark.usefixtures("unwatched")
def test_read_after_a_token_that_is_not_ours_reads_the_primary() -> None:
    with read_after("forged"):
        assert Author.objects.using(None).db == "default"
        assert current_decision().reason == "consistency"  # type: ignore[union-attr]


@pytest.mark.usefixtures("unwatched")
def test_read_after_a_token_that_is_not_ours_holds_inside_use_replica_too() -> None:
    with read_after("forged"), use_replica():
        assert Author.objects.using(None).db == "default"


@pytest.mark.usefixtures("unwatched")
def test_the_innermost_level_wins(open_request: OpenUnit) -> None:
    with read_after(consistency_token()):
        with use_replica(level="eventual"), use_replica():
            assert Author.objects.all().db == "default"
        with use_primary(), read_after(None), open_request():
            assert not clusters.registry().clusters[0].reads.only_reads()


@pytest.mark.usefixtures("unwatched")
@pytest.mark.django_db(transaction=True, databases=["default", "replica_1", "replica_2"])
def test_the_user_is_never_read_eventually(client: Client, open_request: OpenUnit) -> None:
    token = client.post("/save").cookies["gmf_token"].value
    with open_request() as unit, use_replica(level="eventual"):
        assert unit.request is not None
        unit.request.META["HTTP_COOKIE"] = f"gmf_token={token}"
        assert Author.objects.all().db in {"replica_1", "replica_2"}
        assert User.objects.all().db == "default"
        with use_replica(), use_replica(level="eventual"):
            assert User.objects.all().db == "default"
        assert Author.objects.all().db in {"replica_1", "replica_2"}
    with use_replica(level="eventual"):
        assert User.objects.all().db in {"replica_1", "replica_2"}


@pytest.mark.usefixtures("unwatched")
def test_read_after_nothing_asks_for_nothing() -> None:
    with read_after(None), use_replica():
        assert Author.objects.all().db in {"replica_1", "replica_2"}
    with use_replica(), read_after(None):
        assert Author.objects.all().db in {"replica_1", "replica_2"}


@pytest.mark.usefixtures("unwatched")
def test_read_after_a_write_without_a_position_reads_the_primary_for_the_window() -> None:
    token = consistency_token()
    with use_replica(), read_after(token):
        assert Author.objects.all().db == "default"
        assert current_decision().reason == "consistency"  # type: ignore[union-attr]
    with use_replica():
        assert Author.objects.all().db in {"replica_1", "replica_2"}


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="'session', 'eventual'"):
        use_replica(level="strong")


@pytest.mark.usefixtures("unwatched")
@pytest.mark.django_db(transaction=True, databases=["default", "replica_1", "replica_2"])
def test_the_strong_level_reads_the_primary_always(client: Client) -> None:
    entry: dict[str, Any] = {"REPLICAS": ["replica_1"], "CONSISTENCY": {"LEVEL": "strong"}}
    with override_settings(GMF_ROUTER={"default": entry}):
        assert client.get("/one-read").json()["reason"] == "consistency"
        assert "gmf_token" not in client.post("/save").cookies


@pytest.mark.usefixtures("unwatched")
@pytest.mark.django_db(transaction=True, databases=["default", "replica_1", "replica_2"])
def test_what_a_body_writes_while_it_streams_is_remembered_by_the_cache_store() -> None:
    entry = {"REPLICAS": ["replica_1"], "CONSISTENCY": {"STORE": "cache"}}
    with override_settings(GMF_ROUTER={"default": entry}):
        client = Client(headers={"authorization": "Bearer a client"})
        b"".join(client.get("/stream-and-save"))  # type: ignore[call-overload]
        assert client.get("/one-read").json()["reason"] == "consistency"
