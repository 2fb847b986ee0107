"""Do the pages' examples work on a real cluster: choosers that know the client, tokens made a moment ago?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import Site, environment, manage, served
from tests.waiting import until

pytestmark = pytest.mark.cluster
REPLICAS = ("replica_1", "replica_2")
ROUTER: dict[str, Any] = {
    "HEALTH": {"INTERVAL": 0.2, "TIMEOUT": 2.0, "MAX_LAG": 60.0},
    "CHOOSER": "tests.apis.examples.by_header",
}


@contextmanager
def serving(cluster: LocalCluster, **router: Any) -> Iterator[Site]:
    env = environment(cluster, router={**ROUTER, **router}, NAME="apis")
    with served("gunicorn", {**env, "DJANGO_SETTINGS_MODULE": "tests.apis.settings"}, workers=1) as site:
        yield site


@pytest.fixture(scope="module")
def cluster(_gmf_session_cluster: LocalCluster) -> LocalCluster:
    """The cluster, with a database of this site's own."""
    _gmf_session_cluster.execute("primary", "CREATE DATABASE apis OWNER gmf")
    env = environment(_gmf_session_cluster, NAME="apis")
    done = manage({**env, "DJANGO_SETTINGS_MODULE": "tests.apis.settings"}, "migrate", "--verbosity=0")
    assert done.returncode == 0, done.stderr
    _gmf_session_cluster.wait_for_replay()
    return _gmf_session_cluster


@pytest.fixture(scope="module")
def accounts(cluster: LocalCluster) -> Iterator[Site]:
    with serving(cluster) as site:
        for person in ("ada&may=change_book", "bob&group=testers", "eve"):
            assert httpx.post(f"{site.url}/join?name={person}", timeout=30).status_code == 201
        yield site


@pytest.fixture
def site(gmf_cluster: LocalCluster, accounts: Site) -> Site:
    """The site, whose replicas have what was written."""
    gmf_cluster.wait_for_replay()
    until(lambda: httpx.get(f"{accounts.url}/where", timeout=30).json()["role"] == "replica")
    return accounts


@contextmanager
def client_of(site: Site, name: str | None = None, chooser: str | None = None, key: str | None = None) -> Any:
    headers = {"X-Chooser": chooser, "Authorization": key and f"Token {key}"}
    given = {header: value for header, value in headers.items() if value is not None}
    with httpx.Client(base_url=site.url, timeout=30, headers=given) as client:
        if name is not None:
            assert client.post("/log-in", params={"name": name}).status_code == 200
            # What he wrote a moment ago is none of these tests' business.
            client.cookies.delete("gmf_token")
        yield client


def seen(client: httpx.Client, path: str = "/where", method: str = "GET") -> str:
    found = client.request(method, path).json()
    return f"{found['role']} {found['reason']}"


@pytest.mark.parametrize("path", ["/where", "/who"])
def test_a_chooser_knows_who_is_logged_in_and_what_he_may(site: Site, path: str) -> None:
    expected = {"ada": "primary chooser", "eve": "replica read_method", None: "replica read_method"}
    for name, where in expected.items():
        with client_of(site, name, "by_group") as client:
            assert seen(client, path) == where
    assert "event" not in site.log.read_text()


def test_a_flag_of_waffle_says_by_user_by_group_and_by_the_hundred_who_reads_from_replicas(site: Site) -> None:
    def found(name: str | None) -> str:
        with client_of(site, name, "by_flag") as client:
            return seen(client)

    on, off = "replica read_method", "primary chooser"
    assert [found(name) for name in ("ada", None)] == [off, off]
    assert httpx.post(f"{site.url}/flag?user=ada&group=testers").status_code == 201
    assert [found(name) for name in ("ada", "bob", "eve", None)] == [on, on, off, off]
    assert httpx.post(f"{site.url}/flag?percent=50").status_code == 201
    outcomes = set()
    for _ in range(30):
        with client_of(site, None, "by_flag") as client:
            (outcome,) = {seen(client) for _ in range(3)}
            assert client.cookies["dwf_replicas"] == str(outcome == on)
            outcomes.add(outcome)
    assert outcomes == {on, off}


def test_a_token_of_rest_framework_is_looked_up_before_its_user_is_known(site: Site) -> None:
    key = httpx.post(f"{site.url}/token?name=ada").text
    with client_of(site, None, "by_group", key) as client:
        # Ada may, yet when CHOOSER is asked she is not known: the method decides.
        until(lambda: client.get("/api/me").status_code == 200)
        assert seen(client, "/api/me") == "replica read_method"
    with client_of(site, "ada", "by_group") as client:
        assert seen(client, "/api/me") == "primary chooser"
    with client_of(site, None, "by_token", key) as client:
        assert seen(client, "/api/me") == "replica read_method"
        assert seen(client, "/where", "POST") == "primary write_method"
    with client_of(site, "eve", "by_token") as client:
        assert seen(client, "/api/me") == "primary chooser"


def test_where_tokens_are_primary_models_a_chooser_knows_their_user(gmf_cluster: LocalCluster, site: Site) -> None:
    key = httpx.post(f"{site.url}/token?name=bob").text
    eves = httpx.post(f"{site.url}/token?name=eve").text
    models = ["sessions.*", "contenttypes.*", "django_cache.*", "auth.User", "authtoken.Token"]
    with serving(gmf_cluster, PRIMARY_MODELS=models) as other:
        until(lambda: httpx.get(f"{other.url}/where", timeout=30).json()["role"] == "replica")
        httpx.post(f"{other.url}/flag?group=testers")
        gmf_cluster.wait_for_replay()
        with client_of(other, None, "by_flag", key) as client:
            assert seen(client, "/api/me") == "replica read_method"
        with client_of(other, None, "by_flag", eves) as client:
            assert seen(client, "/api/me") == "primary chooser"


def test_a_token_that_another_client_made_a_moment_ago_counts(gmf_cluster: LocalCluster, site: Site) -> None:
    httpx.post(f"{site.url}/join?name=joan", timeout=30)
    gmf_cluster.wait_for_replay()
    for node in REPLICAS:
        gmf_cluster.pause(node)
    key = httpx.post(f"{site.url}/token?name=joan", timeout=30).text
    with client_of(site, key=key) as client:
        assert client.get("/api/me").status_code == 401
        for _ in range(3):
            answer = client.get("/api/fresh")
            assert (answer.status_code, answer.json()["user"]) == (200, "joan")
            # All else is read where it would be.
            assert answer.headers["X-GMF-Database"].startswith("replica")
        with client_of(site, key="0" * 40) as stranger:
            assert stranger.get("/api/fresh").status_code == 401
        for node in REPLICAS:
            gmf_cluster.resume(node)
        gmf_cluster.wait_for_replay()
        assert client.get("/api/me").status_code == 200
        for node in REPLICAS:
            gmf_cluster.pause(node)
        # What was revoked counts until the replica knows: as every read.
        assert httpx.delete(f"{site.url}/token?name=joan", timeout=30).status_code == 204
        assert client.get("/api/fresh").status_code == 200


def test_while_the_primary_is_away_a_token_that_nobody_has_is_a_wrong_one(
    gmf_cluster: LocalCluster, site: Site
) -> None:
    httpx.post(f"{site.url}/join?name=zoe", timeout=30)
    key = httpx.post(f"{site.url}/token?name=zoe", timeout=30).text
    gmf_cluster.wait_for_replay()
    gmf_cluster.kill("primary")
    with client_of(site, key=key) as client, client_of(site, key="0" * 40) as stranger:
        assert client.get("/api/fresh").status_code == 200
        assert stranger.get("/api/fresh").status_code == 401
