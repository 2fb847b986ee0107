"""Is it true what the pages say of a site that comes from another router, and of that router?"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, connections, router
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.module_loading import import_string

from django_gmf_router import current_decision
from tests.books.models import Book
from tests.unit.docs.running import COMING_FROM, run_example
from tests.unit.docs.test_examples import modules, routers_of

pytestmark = pytest.mark.django_db
PINNING = "multidb.middleware.PinningRouterMiddleware"
ENTRY = {"REPLICAS": ["replica_1", "replica_2"]}


@pytest.fixture
def multidb() -> Iterator[Any]:
    """Yield django-multidb-router's module of pins, with this thread unpinned before and after."""
    if not (find_spec("multidb") or os.environ.get("CI")):
        # A developer without it still runs the other tests; in CI its import fails.
        pytest.skip("pip install django-multidb-router")
    pinning: Any = import_module("multidb.pinning")
    pinning.unpin_this_thread()
    yield pinning
    pinning.unpin_this_thread()


def reasons(client: Client, path: str = "/where", method: str = "get") -> set[str]:
    return {look["reason"] for look in getattr(client, method)(path).json()["looks"]}


@pytest.mark.usefixtures("multidb")
def test_while_both_serve_each_honours_the_pin_of_the_other(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    page = f"{COMING_FROM}index.md"
    for name, module in modules(page).items():
        monkeypatch.setitem(sys.modules, name, module)
    (entry,) = routers_of(page)
    first, *others = settings.MIDDLEWARE
    with override_settings(GMF_ROUTER=entry, MIDDLEWARE=[first, PINNING, *others]):
        assert reasons(client) == {"read_method"}
        assert reasons(client, method="post") == {"write_method"}
        # An old process would read from the primary now, and so does this one.
        assert client.cookies["multidb_pin_writes"]["max-age"] == 15
        assert reasons(client) == {"chooser"}
        client.cookies.clear()
        assert reasons(client) == {"read_method"}


def test_a_post_that_writes_nothing_gives_no_token(client: Client) -> None:
    with override_settings(GMF_ROUTER={"default": ENTRY}):
        assert client.post("/only-read").status_code == 200
    assert "gmf_token" not in client.cookies


def test_raw_sql_finds_the_replica_of_the_request_by_asking_django(open_request: Any, unmirrored: None) -> None:
    with override_settings(GMF_ROUTER={"default": ENTRY}), open_request("GET", "/"):
        alias = router.db_for_read(Book)
        assert alias in {"replica_1", "replica_2"}
        assert connections[alias] is connections[str(alias)]
        with open_request("POST", "/"):
            assert router.db_for_read(Book) == "default"


@pytest.mark.parametrize(("models", "times"), [([], 2), (["auth.User"], 1)])
def test_a_chooser_that_looks_at_the_user_loads_it_twice_unless_it_is_a_primary_model(
    client: Client, monkeypatch: pytest.MonkeyPatch, models: list[str], times: int
) -> None:
    page = f"{COMING_FROM}own-router.md"
    for name, module in modules(page).items():
        monkeypatch.setitem(sys.modules, name, module)
    client.force_login(User.objects.create_user("ada", is_staff=True))
    entry = {**ENTRY, "CHOOSER": "office.routing.staff_first", "PRIMARY_MODELS": ["sessions.*", *models]}
    with override_settings(GMF_ROUTER={"default": entry}), CaptureQueriesContext(connection) as queries:
        assert client.get("/admin/", follow=True).status_code == 200
    assert sum('FROM "auth_user" ' in query["sql"] for query in queries) == times


# Before and after


def test_the_settings_before_are_those_of_django_multidb_router_and_the_replicas_stay_the_same(multidb: Any) -> None:
    before = run_example("docs/how-to/coming-from/django-multidb-router.md", "MULTIDB_PINNING_SECONDS")
    middleware, _ = before["MIDDLEWARE"]
    (theirs,) = before["DATABASE_ROUTERS"]
    assert middleware == PINNING
    with override_settings(MULTIDB_PINNING_SECONDS=before["MULTIDB_PINNING_SECONDS"]):
        answer = import_string(middleware)(lambda request: HttpResponse())(RequestFactory().post("/"))
    assert answer.cookies["multidb_pin_writes"]["max-age"] == 15
    multidb.unpin_this_thread()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["multidb"], "replicas", None)
        with override_settings(REPLICA_DATABASES=before["REPLICA_DATABASES"]):
            served = {import_string(theirs)().db_for_read(Book) for _ in range(2)}
    (after,) = routers_of("docs/how-to/coming-from/django-multidb-router.md")
    assert served == {*before["REPLICA_DATABASES"]} == {*after["default"]["REPLICAS"]}


def test_what_django_replicated_was_told_of_paths_holds_with_the_settings_after(open_request: Any) -> None:
    """It is not installed here: its last version is older than each Django of ours."""
    before = run_example("docs/how-to/coming-from/django-replicated.md", "REPLICATED_VIEWS_OVERRIDES")
    after = routers_of("docs/how-to/coming-from/django-replicated.md")[0]
    assert before["REPLICATED_DATABASE_SLAVES"] == after["default"]["REPLICAS"]
    paths = {"search": ("POST", "/search"), "/s/*": ("GET", "/s/abc")}
    with override_settings(GMF_ROUTER=after):
        roles = {}
        for pattern, (method, path) in paths.items():
            with open_request(method, path):
                Book.objects.exists()
                roles[pattern] = current_decision().role  # type: ignore[union-attr]
    assert {pattern: {"replica": "slave", "primary": "master"}[role] for pattern, role in roles.items()} == before[
        "REPLICATED_VIEWS_OVERRIDES"
    ]


# What the page says of django-multidb-router


def test_its_nested_blocks_leave_the_thread_pinned(multidb: Any) -> None:
    with multidb.use_primary_db, multidb.use_primary_db:
        pass
    assert multidb.this_thread_is_pinned()


def test_its_decorators_end_before_an_async_view_does(multidb: Any) -> None:
    @multidb.use_primary_db
    async def view(request: HttpRequest) -> bool:
        return bool(multidb.this_thread_is_pinned())

    assert asyncio.run(view(HttpRequest())) is False


def test_its_router_takes_the_next_replica_for_each_query_and_knows_no_other_database(
    multidb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = sys.modules["multidb"]
    monkeypatch.setattr(package, "replicas", None)
    with override_settings(REPLICA_DATABASES=["replica_1", "replica_2"]):
        theirs = package.PinningReplicaRouter()
        one, two, three = (theirs.db_for_read(Book) for _ in range(3))
    assert one == three != two
    assert theirs.allow_migrate("other", "library") is False


@pytest.mark.usefixtures("multidb")
def test_its_middleware_pins_by_the_method_alone() -> None:
    middleware = import_string(PINNING)(lambda request: HttpResponse())
    for method, is_pinned in (("GET", False), ("POST", True)):
        request = HttpRequest()
        request.method = method
        assert ("multidb_pin_writes" in middleware(request).cookies) is is_pinned
