"""Does the panel of the debug toolbar say where the queries of a request went, and why?

On SQLite aliases that mirror the primary; nodes, moves and positions are in tests/cluster/test_debug_toolbar.py.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.db import connections
from django.test import AsyncClient, Client, override_settings

if not os.environ.get("CI"):
    pytest.importorskip("debug_toolbar", reason="pip install django-debug-toolbar")

from django_gmf_router.backends.cursors import Guard
from django_gmf_router.signals import role_decided
from tests.server_timing import entries
from tests.settings import INSTALLED_APPS, MIDDLEWARE

pytestmark = pytest.mark.django_db(transaction=True)

TOOLBAR = "debug_toolbar.middleware.DebugToolbarMiddleware"
SITE = {
    "DEBUG": True,
    "INTERNAL_IPS": ["127.0.0.1"],
    "ROOT_URLCONF": "tests.toolbar_urls",
    "INSTALLED_APPS": [*INSTALLED_APPS, "django.contrib.staticfiles", "debug_toolbar"],
    "MIDDLEWARE": [MIDDLEWARE[0], TOOLBAR, *MIDDLEWARE[1:]],
    # Not the SQL panel, which wraps the connections of this process for good.
    "DEBUG_TOOLBAR_PANELS": [
        "debug_toolbar.panels.history.HistoryPanel",
        "django_gmf_router.contrib.debug_toolbar.RoutingPanel",
    ],
}
Stats = dict[str, Any]


@pytest.fixture(autouse=True)
def site() -> Iterator[None]:
    with override_settings(**SITE):
        yield


def kept(client: Client, response: Any) -> Stats:
    """What the panel keeps of a request that was answered."""
    found: Stats = client.get(f"/panel/{response['djdt-request-id']}").json()
    return found


@pytest.fixture
def seen(client: Client) -> Callable[..., Stats]:
    """Ask for a page; return what the panel keeps of it."""

    def ask(path: str, method: str = "get") -> Stats:
        return kept(client, getattr(client, method)(path))

    return ask


def reasons(stats: Stats) -> list[tuple[str, str, int]]:
    return [(query["role"], query["reason"], query["count"]) for query in stats["queries"]]


def test_queries_are_counted_by_reason(seen: Callable[..., Stats]) -> None:
    assert reasons(seen("/where")) == [("replica", "read_method", 3)]
    assert reasons(seen("/where", "post")) == [("primary", "write_method", 3)]
    assert reasons(seen("/write")) == [
        ("replica", "read_method", 1),
        ("primary", "write", 1),
        ("primary", "wrote", 1),
    ]


def test_each_query_names_its_alias_and_how_long_it_took(seen: Callable[..., Stats]) -> None:
    (query,) = seen("/where")["queries"]
    assert (query["alias"], query["node"]) == ("default", "default")
    assert 0 < query["milliseconds"] < 10_000


def test_decisions_stand_in_their_order_with_the_model(seen: Callable[..., Stats]) -> None:
    decisions = seen("/write")["decisions"]
    assert [(each["model"], each["role"], each["reason"]) for each in decisions] == [
        ("library.Book", "replica", "read_method"),
        ("library.Book", "primary", "wrote"),
    ]
    assert decisions[0]["alias"] in {"replica_1", "replica_2"}


def test_a_query_for_which_no_router_was_asked_has_no_reason(seen: Callable[..., Stats]) -> None:
    call_command("createcachetable", verbosity=0)
    assert reasons(seen("/by-hand")) == [("primary", "primary_model", 2), ("primary", "", 1)]


def test_a_unit_of_work_within_the_request_belongs_to_it(seen: Callable[..., Stats]) -> None:
    stats = seen("/job")
    assert reasons(stats) == [("replica", "unit_of_work", 1)]
    assert [decision["reason"] for decision in stats["decisions"]] == ["unit_of_work"]


def test_a_dry_run_shows_what_would_be(client: Client, tmp_path: Path) -> None:
    with override_settings(GMF_ROUTER={"default": {"DRY_RUN": True}}, BASE_DIR=tmp_path):
        stats = kept(client, client.get("/only-read"))
        assert reasons(kept(client, client.post("/only-read"))) == [("primary", "write_method", 1)]
    assert (reasons(stats), stats["is_dry"]) == ([("replica", "read_method", 1)], True)


@pytest.mark.parametrize("store", ["cookie", "header", "cache"])
def test_the_token_is_shown_where_it_is_given_brought_and_wanted(client: Client, store: str) -> None:
    router = {"REPLICAS": ["replica_1"], "CONSISTENCY": {"STORE": store}}
    authorization = {"Authorization": "Token t"}
    with override_settings(GMF_ROUTER={"default": router}):
        saved = client.post("/save", headers=authorization)
        token = {"GMF-Consistency-Token": saved.get("GMF-Consistency-Token", "")}
        (given,), (brought,) = (
            kept(client, response)["tokens"]
            for response in (saved, client.get("/where", headers={**authorization, **token}))
        )
    assert given["given"].startswith("kept in the cache" if store == "cache" else "by time, 0.")
    assert (given["brought"], given["wanted"], brought["given"]) == ("", "", "")
    assert brought["brought"].startswith("by time, 0.")
    assert brought["wanted"].startswith("by time, 0.")


def test_an_asynchronous_site_shows_the_same() -> None:
    async def ask() -> Stats:
        client = AsyncClient()
        response = await client.get("/where-async")
        await sync_to_async(assert_nobody_listens)()
        stats: Stats = (await client.get(f"/panel/{response['djdt-request-id']}")).json()
        return stats

    assert reasons(asyncio.run(ask())) == [("replica", "read_method", 3)]


def test_requests_at_the_same_time_are_told_apart() -> None:
    async def ask(client: AsyncClient, method: str) -> Stats:
        response = await getattr(client, method)("/where-async")
        stats: Stats = (await client.get(f"/panel/{response['djdt-request-id']}")).json()
        return stats

    async def main() -> list[Stats]:
        client = AsyncClient()
        return await asyncio.gather(*(ask(client, method) for method in ("get", "post", "get", "post")))

    found = asyncio.run(main())
    assert [reasons(stats) for stats in found] == 2 * [
        [("replica", "read_method", 3)],
        [("primary", "write_method", 3)],
    ]
    assert [len(stats["decisions"]) for stats in found] == [1, 1, 1, 1]


def assert_nobody_listens() -> None:
    assert role_decided.receivers == []
    wrappers = [wrapper for connection in connections.all() for wrapper in connection.execute_wrappers]
    assert [wrapper for wrapper in wrappers if not isinstance(wrapper, Guard)] == []


def test_nobody_listens_after_a_request_that_failed_either(client: Client) -> None:
    client.raise_request_exception = False
    assert client.get("/where").status_code == 200
    assert_nobody_listens()
    assert client.get("/fail").status_code == 500
    assert_nobody_listens()


def test_nobody_listens_while_a_request_without_the_toolbar_is_served(client: Client) -> None:
    shown = client.get("/listeners").json()
    with override_settings(INTERNAL_IPS=[]):
        hidden = client.get("/listeners").json()
    assert (shown["decisions"], hidden["decisions"]) == (1, 0)
    assert shown["statements"] - hidden["statements"] == len(list(connections))


def test_the_toolbar_of_a_page_names_the_nodes_and_loads_the_panel(client: Client) -> None:
    response = client.get("/page")
    assert "Read/write splitting" in response.content.decode()
    assert "default: 1" in response.content.decode()
    panel = client.get(
        "/__debug__/render_panel/",
        {"request_id": response["djdt-request-id"], "panel_id": "RoutingPanel"},
    )
    content = panel.json()["content"]
    for text in ("read_method", "library.Author", "<td>replica</td>", "DRY_RUN", "Moves"):
        assert (text in content) == (text not in {"DRY_RUN", "Moves"}), text


def test_the_panel_may_be_rendered_into_the_page(client: Client) -> None:
    with override_settings(DEBUG_TOOLBAR_CONFIG={"RENDER_PANELS": True}):
        content = client.get("/page").content.decode()
    assert "<td>read_method</td>" in content
    assert "<h4>Decisions, in order</h4>" in content


def test_without_a_unit_of_work_the_panel_says_what_is_missing(client: Client) -> None:
    with override_settings(MIDDLEWARE=[TOOLBAR, *MIDDLEWARE], DEBUG_TOOLBAR_CONFIG={"RENDER_PANELS": True}):
        content = client.get("/page").content.decode()
    assert "has to be the first of" in content


def test_what_the_panel_keeps_is_plain_json(client: Client) -> None:
    from debug_toolbar.toolbar import DebugToolbar  # its model asks for the app to be installed

    made: list[Any] = []

    def note(toolbar: Any, **kwargs: Any) -> None:
        made.append(toolbar)

    DebugToolbar._created.connect(note)
    try:
        client.get("/write")
    finally:
        DebugToolbar._created.disconnect(note)
    stats = made[0].stats["RoutingPanel"]
    assert {type(value) for query in stats["queries"] for value in query.values()} == {str, int, float}
    assert json.loads(json.dumps(stats)) == stats


def test_the_browser_is_told_how_long_each_node_took(client: Client) -> None:
    header = entries(client.get("/where")["Server-Timing"])
    (found,) = (parameters for name, parameters in header if name == "RoutingPanel_default")
    assert found["desc"] == "queries: 3"
    assert float(found["dur"]) > 0
