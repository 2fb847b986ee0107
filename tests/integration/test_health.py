"""What does `health` answer, to whom, and what does that cost the site?"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import OperationalError, connections
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from django_gmf_router import clusters
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.observer import Answer
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.settings.values import Role
from django_gmf_router.views.health import health
from tests import settings as site

URL = "/gmf/health"
NODES = ("default", "replica_1", "replica_2")
ALL = ["cluster:default", *(f"node:{alias}" for alias in NODES), "migrations:default"]
REFUSED = "connection to server at 10.0.0.7 failed: Connection refused"
ROUTER = {"default": {"REPLICAS": ["replica_1", "replica_2"], "HEALTH": {"MAX_LAG": 5}}}

# But for those who say so, no test may ask a database: pytest-django sees to that.
needs_users = pytest.mark.django_db


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    """The monitor of a cluster of which nothing is known, and which nobody watches, since its replicas are mirrors."""
    with override_settings(GMF_ROUTER=ROUTER):
        (cluster,) = clusters.registry().clusters
        yield cluster.monitor


def tell(monitor: Monitor, alias: str, **said: Any) -> None:
    """Let a node answer."""
    now = time.monotonic()
    role = Role.PRIMARY if alias == "default" else Role.REPLICA
    reading = Reading(**{"up": True, "role": role, "migrations": "21 21", **said})
    monitor.answered(Answer(alias=alias, reading=reading, started_at=now, finished_at=now))


@pytest.fixture
def whole(monitor: Monitor) -> Monitor:
    """All nodes are up."""
    for alias in NODES:
        tell(monitor, alias)
    return monitor


def kill(monitor: Monitor, *aliases: str) -> None:
    for alias in aliases:
        tell(monitor, alias, up=False, role=None, migrations=None, refused=True, error=REFUSED)


def answer(client: Client, query: str = "", status: int = 200) -> Any:
    response = client.get(f"{URL}?{query}")
    assert response.status_code == status, response.content
    return response.json()


def statuses(client: Client, query: str = "max_level=2", status: int = 200) -> dict[str, str]:
    return {name: check["status"] for name, check in answer(client, query, status)["checks"].items()}


def a_user(**fields: Any) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("chief", **fields))
    return client


# What is found


def test_where_all_nodes_are_up_all_is_ok(whole: Monitor, client: Client) -> None:
    assert answer(client) == {"status": "ok", "checks": {"cluster:default": {"status": "ok"}}}
    found = answer(client, "max_level=2")
    assert found["status"] == "ok"
    assert list(found["checks"]) == ALL
    assert found["checks"]["node:replica_1"] == {"status": "ok", "state": "up"}


def test_a_dead_replica_takes_no_web_server_out(whole: Monitor, client: Client) -> None:
    kill(whole, "replica_1")
    assert answer(client)["status"] == "ok"
    found = answer(client, "max_level=2")
    assert found["status"] == "degraded"
    assert found["checks"]["cluster:default"] == {"status": "ok"}
    assert found["checks"]["node:replica_1"] == {"status": "down", "state": "down"}


@pytest.mark.parametrize("dead", [("default",), ("replica_1", "replica_2"), ("default", "replica_1")])
def test_a_cluster_without_its_primary_or_any_replica_is_degraded(
    whole: Monitor, client: Client, dead: tuple[str, ...]
) -> None:
    kill(whole, *dead)
    assert answer(client) == {"status": "degraded", "checks": {"cluster:default": {"status": "degraded"}}}


@pytest.mark.parametrize("level", [1, 2])
def test_only_where_no_node_answers_the_web_server_is_out(whole: Monitor, client: Client, level: int) -> None:
    kill(whole, *NODES)
    found = answer(client, f"max_level={level}", 503)
    assert found["status"] == "down"
    assert {check["status"] for check in found["checks"].values()} == {"down"}


def test_a_replica_that_lags_is_degraded(whole: Monitor, client: Client) -> None:
    tell(whole, "replica_1", lag=7.0)
    found = answer(client, "max_level=2")
    assert found["status"] == "degraded"
    assert found["checks"]["node:replica_1"] == {"status": "degraded", "state": "lagging"}
    assert answer(client)["status"] == "ok"
    tell(whole, "replica_2", lag=7.0)
    assert answer(client)["status"] == "degraded"


def test_a_process_that_has_not_looked_yet_takes_requests(monitor: Monitor, client: Client) -> None:
    assert answer(client)["status"] == "ok"
    found = answer(client, "max_level=2")
    assert found["status"] == "ok"
    assert {check.get("state") for check in found["checks"].values()} == {None, "unknown"}


def test_a_process_that_asked_nobody_yet_and_was_refused_knows(monitor: Monitor, client: Client) -> None:
    kill(monitor, *NODES)
    assert statuses(client, status=503)["node:default"] == "down"


def test_what_was_heard_too_long_ago_takes_nobody_out_and_is_told(
    whole: Monitor, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(whole, *NODES)
    answer(client, status=503)
    later = time.monotonic() + 100
    monkeypatch.setattr(whole, "_clock", lambda: later)
    found = answer(client, "max_level=2")
    assert found["status"] == "degraded"
    assert found["checks"]["cluster:default"] == {"status": "degraded"}
    assert found["checks"]["node:replica_1"] == {"status": "ok", "state": "unknown"}


def test_a_migration_that_a_replica_has_not_replayed(whole: Monitor, client: Client) -> None:
    assert statuses(client)["migrations:default"] == "ok"
    tell(whole, "default", migrations="22 22")
    assert answer(client, "max_level=2")["status"] == "degraded"
    assert statuses(client)["migrations:default"] == "degraded"
    for alias in ("replica_1", "replica_2"):
        tell(whole, alias, migrations="22 22")
    assert answer(client, "max_level=2")["status"] == "ok"


def test_a_migration_that_a_replica_has_not_unapplied(whole: Monitor, client: Client) -> None:
    tell(whole, "default", migrations="20 21")
    assert statuses(client)["migrations:default"] == "degraded"


def test_migrations_are_compared_while_the_primary_is_away_but_with_no_dead_replica(
    whole: Monitor, client: Client
) -> None:
    tell(whole, "default", migrations="22 22")
    tell(whole, "replica_2", migrations="22 22")
    kill(whole, "default")
    assert statuses(client)["migrations:default"] == "degraded"
    kill(whole, "replica_1")
    assert statuses(client)["migrations:default"] == "ok"


@pytest.mark.parametrize("without", ["default", "replica_1"])
def test_migrations_that_nobody_tells_are_no_fault(monitor: Monitor, client: Client, without: str) -> None:
    for alias in NODES:
        tell(monitor, alias, migrations=None if alias == without else "21 21")
    assert statuses(client)["migrations:default"] == "ok"


@pytest.mark.parametrize("router", [{}, {"default": {"REPLICAS": []}}])
def test_without_a_cluster_it_is_ok(client: Client, router: Any) -> None:
    with override_settings(GMF_ROUTER=router):
        assert answer(client, "max_level=2") == {"status": "ok", "checks": {}}
        said = "checks names 'node', which is none of max_level 1: none, since no cluster has replicas."
        assert answer(client, "checks=node", 400) == {"detail": said}


def test_of_two_clusters_one_that_is_dead_is_down_for_who_asks_for_it_alone(client: Client) -> None:
    router = {"default": {"REPLICAS": ["replica_1"]}, "other": {"REPLICAS": ["replica_2"], "APPS": ["library"]}}
    with override_settings(GMF_ROUTER=router):
        for cluster in clusters.registry().clusters[:1]:
            kill(cluster.monitor, *cluster.config.aliases)
        assert answer(client) == {
            "status": "degraded",
            "checks": {"cluster:default": {"status": "down"}, "cluster:other": {"status": "ok"}},
        }
        assert answer(client, "checks=cluster:default", 503)["status"] == "down"
        assert answer(client, "checks=cluster:other")["status"] == "ok"


# What is asked for


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ALL[:1]),
        ("max_level=1", ALL[:1]),
        ("max_level=2", ALL),
        ("max_level=2&checks=", ALL),
        ("max_level=2&checks=node:replica_1", ["node:replica_1"]),
        ("max_level=2&checks=migrations,node:default", ["node:default", "migrations:default"]),
        ("max_level=2&checks=cluster&checks=migrations:default,", ["cluster:default", "migrations:default"]),
        ("checks=cluster", ["cluster:default"]),
    ],
)
def test_levels_and_names_choose_the_checks(monitor: Monitor, client: Client, query: str, names: list[str]) -> None:
    assert list(answer(client, query)["checks"]) == names


def test_the_status_is_that_of_the_checks_that_were_chosen(whole: Monitor, client: Client) -> None:
    kill(whole, "replica_1")
    assert answer(client, "max_level=2&checks=node:replica_2")["status"] == "ok"
    assert answer(client, "max_level=2&checks=node:replica_1", 503)["status"] == "down"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("max_level=3", "max_level is '3': say 1 or 2."),
        ("max_level=", "max_level is '': say 1 or 2."),
        ("max_level=%D9%A1", "max_level is '\u0661': say 1 or 2."),
        (
            "checks=node:replica_1",
            "checks names 'node:replica_1', which is none of max_level 1: cluster, cluster:default.",
        ),
        (
            "checks=disk,cluster&max_level=2",
            f"checks names 'disk', which is none of max_level 2: cluster, node, migrations, {', '.join(ALL)}.",
        ),
    ],
)
def test_nonsense_is_told_in_one_line(monitor: Monitor, client: Client, query: str, said: str) -> None:
    assert answer(client, query, 400) == {"detail": said}


def test_it_has_a_name() -> None:
    assert reverse("gmf_router:health") == URL


def test_head_is_answered_without_a_body(whole: Monitor, client: Client) -> None:
    assert (client.head(URL).status_code, client.head(URL).content) == (200, b"")
    kill(whole, *NODES)
    assert client.head(URL).status_code == 503


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_other_methods_are_refused(monitor: Monitor, client: Client, method: str) -> None:
    response = getattr(client, method)(URL)
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


def test_it_is_served_under_asgi(whole: Monitor) -> None:
    response = asyncio.run(AsyncClient().get(URL))
    assert (response.status_code, response.json()["status"]) == (200, "ok")


# Who is told what


def test_who_is_not_staff_is_told_states_and_nothing_else(whole: Monitor, client: Client) -> None:
    tell(whole, "replica_2", lag=7.0)
    kill(whole, "replica_1")
    text = client.get(f"{URL}?max_level=2").content.decode()
    assert not [word for word in ("10.0.0.7", "refused", 'lag"', "7.0", "behind", "since") if word in text]


@needs_users
@pytest.mark.parametrize(("fields", "tells"), [({}, False), ({"is_staff": True}, True)])
def test_staff_are_told_everything_at_level_2(whole: Monitor, fields: dict[str, Any], tells: bool) -> None:
    tell(whole, "replica_2", lag=7.0, migrations="20 20")
    kill(whole, "replica_1")
    client = a_user(**fields)
    checks = answer(client, "max_level=2")["checks"]
    assert ("error" in checks["node:replica_1"]) is tells
    if tells:
        assert checks["node:replica_1"]["error"] == REFUSED
        lagging = checks["node:replica_2"]
        assert (lagging["role"], lagging["lag"], lagging["state"]) == ("replica", 7.0, "lagging")
        assert 0 <= lagging["heard_seconds_ago"] < 10
        assert lagging["since"].endswith("+00:00")
        assert checks["migrations:default"] == {"status": "degraded", "behind": ["replica_2"], "unknown": []}
    assert answer(client)["checks"] == {"cluster:default": {"status": "degraded"}}


@pytest.mark.parametrize("user", [AnonymousUser(), None, User(is_staff=True, is_active=False)], ids=str)
def test_who_is_nobody_or_was_staff_once_is_told_states(whole: Monitor, rf: RequestFactory, user: Any) -> None:
    request = rf.get(URL, {"max_level": 2})
    request.user = user
    assert b"error" not in health(request).content


def test_where_the_session_cannot_be_read_states_are_told(whole: Monitor, rf: RequestFactory) -> None:
    def fail() -> Any:
        raise OperationalError("the primary is away")

    kill(whole, *NODES)
    request = rf.get(URL, {"max_level": 2})
    request.user = SimpleLazyObject(fail)
    response = health(request)
    assert response.status_code == 503
    assert b"error" not in response.content


def test_level_1_looks_at_no_session(whole: Monitor, client: Client) -> None:
    client.cookies["sessionid"] = "a-session-that-nobody-looks-up"
    response = client.get(URL)
    assert response.status_code == 200
    assert "Vary" not in response


@needs_users
def test_level_2_says_that_it_depends_on_the_cookie(whole: Monitor, client: Client) -> None:
    assert client.get(f"{URL}?max_level=2")["Vary"] == "Cookie"


# What it costs and needs


def test_it_needs_no_middleware(whole: Monitor, client: Client) -> None:
    with override_settings(MIDDLEWARE=[]):
        assert statuses(client)["node:replica_1"] == "ok"


def test_a_site_that_needs_a_login_everywhere_lets_it_pass(whole: Monitor, client: Client) -> None:
    login_required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    with override_settings(MIDDLEWARE=[*site.MIDDLEWARE, login_required]):
        assert answer(client)["status"] == "ok"


def test_a_host_that_is_not_allowed_is_400_as_the_page_says(whole: Monitor, client: Client) -> None:
    common = "django.middleware.common.CommonMiddleware"
    with override_settings(MIDDLEWARE=[*site.MIDDLEWARE, common], ALLOWED_HOSTS=["www.example.org"]):
        assert client.get(URL, headers={"Host": "10.0.0.41"}).status_code == 400
        assert client.get(URL, headers={"Host": "www.example.org"}).status_code == 200


def test_it_is_never_cached(whole: Monitor, client: Client) -> None:
    caching = [f"django.middleware.cache.{name}CacheMiddleware" for name in ("Update", "FetchFrom")]
    with override_settings(MIDDLEWARE=[caching[0], *site.MIDDLEWARE, caching[1]]):
        assert "no-store" in client.get(URL)["Cache-Control"]
        kill(whole, "default")
        assert answer(client)["status"] == "degraded"


def test_no_answer_is_logged_as_an_error(whole: Monitor, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    kill(whole, *NODES)
    caplog.clear()
    answer(client, status=503)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("alias", ["default", "replica_1"])
def test_atomic_requests_open_no_transaction_for_it(
    whole: Monitor, client: Client, monkeypatch: pytest.MonkeyPatch, alias: str
) -> None:
    monkeypatch.setitem(connections.settings[alias], "ATOMIC_REQUESTS", True)
    assert answer(client, "max_level=2")["status"] == "ok"


def test_it_decides_no_read(whole: Monitor, client: Client) -> None:
    with override_settings(GMF_ROUTER={"default": {**ROUTER["default"], "DEBUG_HEADER": "X-GMF-Database"}}):
        assert "X-GMF-Database" not in client.get(URL)


Started = list[Monitor]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The monitors that were told to begin."""
    begun: Started = []

    def ensure(self: Monitor) -> None:
        begun.append(self)

    monkeypatch.setattr(Monitor, "ensure", ensure)
    return begun


@pytest.mark.usefixtures("unmirrored")
def test_a_process_that_has_read_nothing_begins_to_watch(started: Started, monitor: Monitor, client: Client) -> None:
    answer(client)
    assert started == [monitor]


def test_a_test_run_with_mirrors_watches_nothing(started: Started, client: Client) -> None:
    assert statuses(client)["node:replica_1"] == "ok"
    assert started == []


@pytest.mark.usefixtures("unmirrored")
def test_a_dry_run_without_replicas_is_watched_but_in_tests(
    started: Started, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with override_settings(GMF_ROUTER={"default": {"DRY_RUN": True}}):
        assert list(statuses(client)) == ["cluster:default", "node:default", "migrations:default"]
        assert started == []
        monkeypatch.setattr("django_gmf_router.replicas.pool.is_test_run", lambda: False)
        answer(client)
        assert len(started) == 1
