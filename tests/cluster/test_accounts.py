"""What do people who are logged in see while the primary is away, and while replicas lag?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import SERVERS, Site, environment, served
from tests.waiting import until

HEALTH = {"INTERVAL": 0.2, "TIMEOUT": 2.0, "MAX_LAG": 60.0}
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
ASKS = "tests.cluster.accounts_urls.asks_for_the_user"
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
BACKEND = "django.contrib.sessions.backends"
SITES: dict[str, dict[str, Any]] = {
    "plain": {},
    "debug": {"DEBUG": True},
    "csrf in sessions": {"CSRF_USE_SESSIONS": True, "more_middleware": [CSRF]},
    "asks for the user": {"more_middleware": [CSRF, ASKS]},
    "login required": {"more_middleware": [LOGIN_REQUIRED]},
    "atomic requests": {"atomic_requests": True},
    "no templates": {"TEMPLATES": []},
    "cached_db": {"SESSION_ENGINE": f"{BACKEND}.cached_db"},
    "signed cookies": {"SESSION_ENGINE": f"{BACKEND}.signed_cookies"},
    "saved with every page": {"SESSION_SAVE_EVERY_REQUEST": True},
}
CASES = [*((SERVERS[0], name) for name in SITES), *((SERVERS[1], name) for name in ("plain", "asks for the user"))]


@contextmanager
def accounts(cluster: LocalCluster, server: str, router: dict[str, Any] | None = None, **site: Any) -> Iterator[Site]:
    age = 0 if server == "uvicorn" else 60
    env = environment(cluster, router={"HEALTH": HEALTH, **(router or {})}, CONN_MAX_AGE=age)
    env |= {"DJANGO_SETTINGS_MODULE": "tests.cluster.accounts_settings", "GMF_TEST_SITE": json.dumps(site)}
    with served(server, env, workers=1) as running:
        yield running


@contextmanager
def logged_in(site: Site, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=30) as client:
        assert client.post(f"/log-in?name={name}").status_code == 200
        assert client.get("/").text == name
        yield client


@pytest.mark.parametrize(("server", "name"), CASES)
def test_whatever_a_site_is_made_of_pages_go_on_and_writes_answer_503(
    gmf_cluster: LocalCluster, migrated: LocalCluster, server: str, name: str
) -> None:
    with accounts(migrated, server, **SITES[name]) as site, logged_in(site, "ada") as client:
        gmf_cluster.wait_for_replay()
        del client.cookies["gmf_token"]
        gmf_cluster.kill("primary")
        for _ in range(3):
            pages = {"/": "ada", "/async": "ada", "/touch": "touched", "/tile": "ada"}
            if "atomic_requests" in SITES[name]:
                del pages["/async"]  # Django refuses it
            for path, expected in pages.items():
                answer = client.get(path)
                assert (answer.status_code, answer.text.startswith(expected)) == (200, True), (path, answer.text)
            refused = [client.post("/save", headers={"accept": each}) for each in ("text/html", "*/*")]
            if CSRF not in str(SITES[name]):
                assert [answer.status_code for answer in refused] == [503, 503]
            for answer in (*refused, client.post("/touch")):
                assert answer.status_code in {503, 403} or name == "signed cookies", answer.text
                if answer.status_code == 503:
                    assert "Retry-After" in answer.headers
                    assert "can be saved right now" in answer.text
        client.post("/save")
        log = site.log.read_text()
        assert "Traceback" not in log
        assert "Subject:" not in log
        assert log.count("is answered 503") <= 1


@pytest.mark.parametrize("server", SERVERS)
def test_a_get_whose_session_ends_while_the_primary_is_away_is_anonymous(
    gmf_cluster: LocalCluster, migrated: LocalCluster, server: str
) -> None:
    with accounts(migrated, server, more_middleware=[ASKS]) as site, logged_in(site, f"grace-{server}") as client:
        gmf_cluster.execute("primary", f"UPDATE auth_user SET password = 'x' WHERE username = 'grace-{server}'")
        gmf_cluster.wait_for_replay()
        del client.cookies["gmf_token"]
        gmf_cluster.kill("primary")
        for path in ("/", "/async", "/tile"):
            with httpx.Client(base_url=site.url, cookies=client.cookies, timeout=30) as same:
                answer = same.get(path)
                assert (answer.status_code, answer.text.split()[0]) == (200, "nobody"), answer.text
                assert "sessionid" not in same.cookies


SESSION_LEVEL: dict[str, Any] = {}
EVENTUAL_LEVEL = {
    "CONSISTENCY": {"LEVEL": "eventual"},
    "PRIMARY_MODELS": ["sessions.*", "contenttypes.*", "django_cache.*", "auth.User"],
}


@pytest.mark.parametrize(
    ("server", "router"), [(SERVERS[0], SESSION_LEVEL), (SERVERS[1], SESSION_LEVEL), (SERVERS[0], EVENTUAL_LEVEL)]
)
def test_an_eventual_read_of_the_user_does_not_end_his_session(
    gmf_cluster: LocalCluster, migrated: LocalCluster, server: str, router: dict[str, Any]
) -> None:
    name = f"joan-{server}-{len(router)}"
    with accounts(migrated, server, router) as site, logged_in(site, name) as client:
        gmf_cluster.wait_for_replay()
        until(lambda: "replica" in client.get("/tile").headers["X-GMF-Database"])
        for node in ("replica_1", "replica_2"):
            gmf_cluster.pause(node)
        assert client.post("/change-password").status_code == 200
        for _ in range(3):
            tile = client.get("/tile")
            assert tile.text.split()[0] == name
            # The tile itself may be as old as it likes.
            assert "replica" in tile.headers["X-GMF-Database"]
        assert client.get("/").text == name
