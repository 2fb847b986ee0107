"""Does a site in maintenance show its pages, and save nothing?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection, router, transaction
from django.test import Client, override_settings

from django_gmf_router import clusters, current_decision, unavailable, unit_of_work, use_primary
from django_gmf_router.exceptions import MaintenanceMode, PrimaryUnavailable
from django_gmf_router.models import Control
from django_gmf_router.replicas.observer import Answer
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.settings.values import Role
from django_gmf_router.unavailable import Repeated, unsaved_sessions
from tests.books.models import Author, Book
from tests.conftest import OpenUnit

pytestmark = pytest.mark.django_db
REASON = "We move to <new> servers."
READ_ONLY = f"{MaintenanceMode.READ_ONLY} {REASON}"
Say = Callable[[dict[str, Any]], None]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Iterator[Say]:
    """Say something of a cluster of this test's own."""
    monkeypatch.setattr(unavailable, "READ_ONLY", Repeated({"event": "maintenance"}))
    monkeypatch.setattr(unsaved_sessions, "UNSAVED", Repeated({"event": "session_not_saved"}))
    versions = count(1)

    def it(state: dict[str, Any]) -> None:
        reading = Reading(up=True, role=Role.REPLICA, control=f"{next(versions)} {json.dumps(state)}")
        answer = Answer(alias="replica_1", reading=reading, started_at=0.0, finished_at=0.1)
        clusters.registry().clusters[0].monitor.answered(answer)

    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], "DB_CHOOSER": {"master": ["GET /s/"]}}}):
        yield it


@pytest.fixture
def maintenance(say: Say) -> Say:
    """Be in maintenance from the beginning."""
    say({"maintenance": {"": REASON}})
    return say


def decided(model: Any = Book) -> tuple[str, str]:
    router.db_for_read(model)
    decision = current_decision()
    assert decision is not None
    return decision.role, decision.reason


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.event for record in caplog.records if record.levelname == "WARNING"]  # type: ignore[attr-defined]


# Reads


@pytest.mark.parametrize("model", [Book, Session])
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/"), ("GET", "/s/x")])
def test_whatever_a_request_reads_a_replica_serves(
    maintenance: Say, open_request: OpenUnit, method: str, path: str, model: Any
) -> None:
    with open_request(method, path):
        assert decided(model) == ("replica", "maintenance")
        with use_primary():
            assert decided(model) == ("replica", "maintenance")


def test_it_begins_and_ends_within_a_request(say: Say, open_request: OpenUnit) -> None:
    with open_request("POST"):
        assert decided() == ("primary", "write_method")
        say({"maintenance": {"": REASON}})
        assert decided() == ("replica", "maintenance")
        say({"maintenance": {"another site": REASON}})
        assert decided() == ("primary", "write_method")


def test_what_is_no_request_reads_as_ever(maintenance: Say) -> None:
    with use_primary():
        assert decided() == ("primary", "use_primary")
    with unit_of_work():
        assert decided() == ("replica", "unit_of_work")


# Writes


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_writes_neither_by_the_orm_nor_by_a_cursor(
    maintenance: Say, open_request: OpenUnit, method: str
) -> None:
    author = Author.objects.create(name="before")
    with open_request(method), connection.cursor() as cursor:
        # It might have written, for all that anybody knows.
        cursor.execute("SELECT name FROM library_author")
        for write in (
            lambda: Author.objects.create(name="ada"),
            lambda: Author.objects.update(name="ada"),
            author.delete,
            lambda: cursor.execute("UPDATE library_author SET name = 'ada'"),
            lambda: cursor.executemany("INSERT INTO library_author (name) VALUES (%s)", [("ada",)]),
            lambda: cursor.execute("WITH gone AS (DELETE FROM library_author RETURNING id) SELECT * FROM gone"),
            lambda: cursor.execute("CREATE TABLE made (id int)"),
        ):
            with pytest.raises(MaintenanceMode) as refused:
                write()
            assert refused.value.outcome == READ_ONLY
        cursor.execute("SELECT name FROM library_author")
        assert cursor.fetchall() == [("before",)]


def test_a_transaction_that_only_reads_begins_and_ends(maintenance: Say, open_request: OpenUnit) -> None:
    with open_request("POST"), transaction.atomic(), transaction.atomic():
        assert Author.objects.using("default").count() == 0


def test_a_request_that_had_begun_to_write_ends_as_it_began(say: Say, open_request: OpenUnit) -> None:
    with open_request("POST"):
        Author.objects.create(name="first")
        say({"maintenance": {"": REASON}})
        Author.objects.create(name="second")
        assert decided() == ("primary", "write_method")
    with open_request("POST"), pytest.raises(MaintenanceMode):
        Author.objects.create(name="third")


def test_what_is_no_request_writes_on(maintenance: Say) -> None:
    Author.objects.create(name="by a command")
    with unit_of_work():
        Author.objects.create(name="by a job")
    assert Author.objects.count() == 2


def test_who_steers_may_write_that(maintenance: Say, open_request: OpenUnit) -> None:
    with open_request("POST"):
        Control.objects.using("default").create(state="{}", changed_by="ada")
    for sql in (
        "LOCK TABLE gmf_router_control IN SHARE ROW EXCLUSIVE MODE",
        "UPDATE gmf_router_control SET reason = ''",
    ):
        with open_request("POST"):
            clusters.registry().clusters[0].writes.note(sql)
    with open_request("POST"), pytest.raises(MaintenanceMode):
        clusters.registry().clusters[0].writes.note("LOCK TABLE library_author IN SHARE MODE")


def test_a_cache_in_the_database_that_forgets_what_has_expired_spoils_no_page(
    maintenance: Say, open_request: OpenUnit
) -> None:
    call_command("createcachetable", verbosity=0)
    caches["database"].set("tile", "old", timeout=0)
    with open_request("GET"):
        assert caches["database"].get("tile") is None
        assert caches["database"].set("tile", "new") is None
        assert caches["database"].get("tile") is None
    with open_request("POST"), pytest.raises(MaintenanceMode):
        caches["database"].get("tile")


# What clients get


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("accept", "text"), [("text/html", "&lt;new&gt; servers."), ("*/*", "<new> servers.")])
def test_who_would_save_something_gets_503_with_the_reason(
    maintenance: Say, client: Client, accept: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        response = client.post("/save", headers={"accept": accept})
        assert (response.status_code, response["Retry-After"]) == (503, "2")
        assert text in response.content.decode()
        assert client.get("/where").status_code == 200
    assert events(caplog) == ["maintenance"]
    maintenance({})
    assert client.post("/save").status_code == 201


def test_who_meets_a_primary_that_was_taken_away_is_told_the_reason_too(maintenance: Say) -> None:
    def detail(failure: PrimaryUnavailable) -> str:
        return unavailable._detail(unavailable._as_announced(failure))

    assert detail(PrimaryUnavailable("default")) == READ_ONLY
    assert detail(PrimaryUnavailable("default", may_be_saved=True)) == PrimaryUnavailable.MAY_BE_SAVED
    assert detail(PrimaryUnavailable("other")) == PrimaryUnavailable.NOTHING_SAVED
    maintenance({})
    assert detail(PrimaryUnavailable("default")) == PrimaryUnavailable.NOTHING_SAVED


@pytest.fixture
def ada(db: None) -> Client:
    """A client that is logged in, before the maintenance."""
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("ada", password="lovelace"))
    return client


@pytest.mark.parametrize("share", [{}, {"share": {"": 0.0}}])
def test_a_session_is_not_saved_and_its_client_stays_logged_in(
    ada: Client, say: Say, share: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    say({"maintenance": {"": REASON}, **share})
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        for _ in range(2):
            assert ada.get("/admin/").status_code == 200
        assert ada.get("/s/x").status_code == 200
        assert ada.post("/only-read").status_code == 503
    assert events(caplog) == ["session_not_saved", "maintenance"]


@pytest.mark.django_db(transaction=True)
def test_who_logs_in_or_out_is_not_told_that_it_is_done(ada: Client, maintenance: Say) -> None:
    known = {"username": "ada", "password": "lovelace"}
    assert Client(raise_request_exception=False).post("/admin/login/", known).status_code == 503
    assert ada.post("/admin/logout/").status_code == 503
    assert ada.get("/admin/").status_code == 200


# The admin


def test_the_admin_says_on_each_page_why_nothing_can_be_saved(ada: Client, say: Say) -> None:
    text = "the site is in maintenance. We move to &lt;new&gt; servers."
    assert text not in ada.get("/admin/").content.decode()
    say({"maintenance": {"": REASON}})
    for page in ("/admin/", "/admin/auth/group/", "/admin/auth/group/add/"):
        assert ada.get(page).content.decode().count(text) == 1
    refused = ada.post("/admin/auth/group/add/", {"name": "editors"})
    assert refused.status_code == 503
    say({})
    assert text not in ada.get("/admin/").content.decode()


def test_its_other_messages_are_shown_after_that(ada: Client, say: Say) -> None:
    assert ada.post("/admin/auth/group/add/", {"name": "editors"}).status_code == 302
    say({"maintenance": {"": REASON}})
    page = ada.get("/admin/auth/group/").content.decode()
    assert 0 < page.index("in maintenance") < page.index("was added successfully")
    assert "was added successfully" not in ada.get("/admin/auth/group/").content.decode()


CONTROL = "/admin/gmf_router/control/"


@pytest.fixture
def change(db: None) -> Control:
    return Control.objects.create(state='{"drained": ["replica_1"]}', changed_by="grace", reason="new disks")


def test_what_was_said_can_be_read_there_and_nothing_else(ada: Client, change: Control) -> None:
    page = ada.get(CONTROL).content.decode()
    assert all(text in page for text in ("grace", "new disks", "replica_1"))
    one = f"{CONTROL}{change.pk}/"
    assert ada.get(f"{one}change/").status_code == 200
    refused = [ada.get(f"{CONTROL}add/"), ada.post(f"{CONTROL}add/"), ada.post(f"{one}change/", {"reason": "none"})]
    refused += [ada.get(f"{one}delete/"), ada.post(f"{one}delete/", {"post": "yes"})]
    assert [response.status_code for response in refused] == [403] * 5
    picked = {"action": "delete_selected", "_selected_action": [change.pk], "post": "yes"}
    ada.post(CONTROL, picked)
    assert Control.objects.get() == change


@pytest.mark.parametrize(("permissions", "status"), [([], 403), (["view_control"], 200), (["control"], 403)])
def test_it_takes_the_permission_to_view(permissions: list[str], status: int, change: Control) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    assert client.get(CONTROL).status_code == status
