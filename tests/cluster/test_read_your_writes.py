"""Does a client read what it wrote, whatever the replicas have replayed, and at which price?"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import DRIVERS, SERVERS, Site, environment, manage, served
from tests.waiting import until

HEALTH = {"INTERVAL": 0.2, "TIMEOUT": 2.0, "MAX_LAG": 60.0}
PAIRS = list(zip(SERVERS, DRIVERS, strict=True))


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def lagging_site(request: pytest.FixtureRequest, migrated: LocalCluster) -> Iterator[Site]:
    """The site, whose replicas may lag for a minute before anybody minds."""
    server, driver = request.param
    with served(server, environment(migrated, driver, {"HEALTH": HEALTH}), workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def counted_site(migrated: LocalCluster) -> Iterator[Site]:
    """The site under one worker of one thread, which counts its statements."""
    with served("gunicorn", environment(migrated, router={"HEALTH": HEALTH}), workers=1, threads=1) as running:
        yield running


def client_of(site: Site, **kwargs: Any) -> httpx.Client:
    return httpx.Client(base_url=site.url, timeout=30, **kwargs)


def paused(cluster: LocalCluster) -> None:
    for node in ("replica_1", "replica_2"):
        cluster.pause(node)


def queries(response: httpx.Response) -> dict[str, int]:
    found = json.loads(response.headers["X-Queries"])
    return {alias: number for alias, number in found.items() if number}


@pytest.mark.parametrize("path", ["/save", "/save-async", "/save-on-commit", "/save?fail"])
def test_a_client_that_wrote_reads_the_primary_until_a_replica_has_it(
    gmf_cluster: LocalCluster, lagging_site: Site, path: str
) -> None:
    with client_of(lagging_site) as writer, client_of(lagging_site) as reader:
        until(lambda: writer.get("/one-read").json()["role"] == "replica")
        paused(gmf_cluster)
        assert writer.post(path).status_code in {201, 500}
        for _ in range(3):
            assert writer.get("/one-read").json()["reason"] == "consistency"
        assert reader.get("/one-read").json()["reason"] == "read_method"
        gmf_cluster.resume("replica_1")
        gmf_cluster.wait_for_replay("replica_1")
        until(lambda: writer.get("/one-read").json()["role"] == "replica")
        assert {writer.get("/one-read").json()["alias"] for _ in range(10)} <= {"replica_1", "default"}


def test_the_token_is_a_cookie_that_only_writes_set(lagging_site: Site) -> None:
    with client_of(lagging_site) as client:
        assert "Set-Cookie" not in client.get("/one-read").headers
        assert "Set-Cookie" not in client.post("/only-read").headers
        cookie = client.post("/save").headers["Set-Cookie"]
        assert cookie.startswith("gmf_token=")
        for attribute in ("HttpOnly", "SameSite=Lax", "Max-Age=60", "Path=/"):
            assert attribute in cookie
        assert "Set-Cookie" not in client.get("/one-read").headers


@pytest.mark.parametrize(
    "token",
    ["forged", "1!", "1!1a206a68d2e!default!7!1!ffffffff:AAAA", "x" * 8000, "ÿ", ""],
    ids=["forged", "truncated", "bad signature", "8 KB", "not ascii", "empty"],
)
def test_a_token_that_is_not_ours_is_no_error_and_pins_nobody(lagging_site: Site, token: str) -> None:
    response = httpx.get(f"{lagging_site.url}/one-read", headers={"Cookie": f"gmf_token={token}".encode()}, timeout=30)
    assert response.status_code == 200
    assert response.json()["reason"] == "read_method"


def test_the_price_in_queries(gmf_cluster: LocalCluster, counted_site: Site) -> None:
    with client_of(counted_site) as client:
        until(lambda: client.get("/one-read").json()["role"] == "replica")
        for _ in range(10):  # each replica's connection makes its first statements
            client.get("/one-read")
        assert sum(queries(client.get("/one-read")).values()) == 1
        assert queries(client.post("/save")) == {"default": 2}
        gmf_cluster.wait_for_replay()
        first = client.get("/one-read")
        assert first.json()["role"] == "replica"
        assert sum(queries(first).values()) <= 2
        assert "default" not in queries(first)

        def costs_nothing() -> bool:
            return sum(queries(client.get("/one-read")).values()) == 1

        until(costs_nothing)
        for _ in range(10):
            assert costs_nothing()


def test_an_eventual_read_takes_any_replica_and_read_after_a_fresh_one(
    gmf_cluster: LocalCluster, lagging_site: Site
) -> None:
    with client_of(lagging_site) as writer, client_of(lagging_site) as worker:
        until(lambda: writer.get("/one-read").json()["role"] == "replica")
        paused(gmf_cluster)
        writer.post("/save")
        assert writer.get("/eventual").json()["role"] == "replica"
        token = writer.cookies["gmf_token"].strip('"')
        assert worker.get("/after", params={"token": token}).json()["reason"] == "consistency"
        assert worker.get("/after", params={"token": "forged"}).json()["role"] in {"primary", "replica"}
        gmf_cluster.resume("replica_2")
        gmf_cluster.wait_for_replay("replica_2")
        until(lambda: worker.get("/after", params={"token": token}).json()["alias"] == "replica_2")


@pytest.mark.parametrize("store", ["header", "cache"])
def test_other_stores_keep_the_promise_too(gmf_cluster: LocalCluster, migrated: Any, store: str) -> None:
    router = {"HEALTH": HEALTH, "CONSISTENCY": {"STORE": store}}
    with served("gunicorn", environment(gmf_cluster, router=router), workers=1) as site, client_of(site) as client:
        until(lambda: client.get("/one-read").json()["role"] == "replica")
        paused(gmf_cluster)
        client.headers["Authorization"] = "Bearer a-client"
        answer = client.post("/save")
        assert "Set-Cookie" not in answer.headers
        if store == "header":
            client.headers["GMF-Consistency-Token"] = answer.headers["GMF-Consistency-Token"]
        assert client.get("/one-read").json()["reason"] == "consistency"
        assert httpx.get(f"{site.url}/one-read", timeout=30).json()["reason"] == "read_method"


@pytest.mark.parametrize(("server", "path"), [("gunicorn", "/stream-and-save"), ("uvicorn", "/stream-and-save-async")])
def test_the_cache_store_remembers_where_a_body_wrote_while_it_streamed(
    gmf_cluster: LocalCluster, migrated: Any, server: str, path: str
) -> None:
    router = {"HEALTH": HEALTH, "CONSISTENCY": {"STORE": "cache"}}
    with served(server, environment(gmf_cluster, router=router), workers=1) as site, client_of(site) as client:
        until(lambda: client.get("/one-read").json()["role"] == "replica")
        paused(gmf_cluster)
        client.headers["Authorization"] = "Bearer a-client"
        assert client.get(path).is_success
        assert client.get("/one-read").json()["reason"] == "consistency"
        # By time alone it would be the primary for as long as a replica may lag, a minute here.
        gmf_cluster.resume("replica_1")
        gmf_cluster.wait_for_replay("replica_1")
        until(lambda: client.get("/one-read").json()["alias"] == "replica_1")


@pytest.mark.parametrize(("level", "reason"), [("eventual", "read_method"), ("strong", "consistency")])
def test_the_other_levels(gmf_cluster: LocalCluster, migrated: Any, level: str, reason: str) -> None:
    router = {"HEALTH": HEALTH, "CONSISTENCY": {"LEVEL": level}}
    with served("gunicorn", environment(gmf_cluster, router=router), workers=1) as site, client_of(site) as client:
        answer = client.post("/save")
        assert "Set-Cookie" not in answer.headers
        assert client.get("/one-read").json()["reason"] == reason


def test_a_stable_balancer_gives_a_session_the_same_replica_while_it_is_up(
    gmf_cluster: LocalCluster, migrated: Any
) -> None:
    router = {"HEALTH": HEALTH, "BALANCER": "stable"}
    with served("gunicorn", environment(gmf_cluster, router=router)) as site:
        seen = set()
        for number in range(12):
            with client_of(site, cookies={"sessionid": f"session-{number}"}) as client:
                (alias,) = {client.get("/one-read").json()["alias"] for _ in range(5)}
                seen.add(alias)
        assert seen == {"replica_1", "replica_2"}


def test_who_has_written_reads_on_from_a_replica_that_has_it_while_the_primary_is_away(
    gmf_cluster: LocalCluster, lagging_site: Site
) -> None:
    with client_of(lagging_site) as writer, client_of(lagging_site) as later:
        until(lambda: writer.get("/one-read").json()["role"] == "replica")
        assert writer.post("/save").status_code == 201
        until(lambda: writer.get("/one-read").json()["role"] == "replica")
        gmf_cluster.wait_for_replay()
        paused(gmf_cluster)
        # No replica will have replayed this one.
        assert later.post("/save").status_code == 201
        gmf_cluster.kill("primary")
        # Also while nobody has noticed yet, and long after every replica was seen since.
        deadline = time.monotonic() + 8 * HEALTH["INTERVAL"]
        while time.monotonic() < deadline:
            answer = writer.get("/one-read")
            assert (answer.status_code, answer.json()["role"]) == (200, "replica"), answer.text
            assert later.get("/one-read").status_code == 503
        assert later.post("/save").status_code == writer.post("/save").status_code == 503
        assert writer.get("/one-read").json()["role"] == "replica"


def test_a_view_that_goes_on_without_its_write_reads_on_from_a_replica(
    gmf_cluster: LocalCluster, migrated: Any
) -> None:
    with served("gunicorn", environment(gmf_cluster, router={"HEALTH": HEALTH}), workers=1) as site:
        # A client without a token: each of its requests stands alone.
        until(lambda: httpx.get(f"{site.url}/one-read", timeout=30).json()["role"] == "replica")
        assert httpx.get(f"{site.url}/attempt", timeout=30).json()["reason"] == "wrote"
        gmf_cluster.kill("primary")
        # Until it is known to be down, nobody knows what became of a write.
        until(lambda: httpx.get(f"{site.url}/attempt", timeout=30).status_code == 200)
        answers = [httpx.get(f"{site.url}/attempt", timeout=30) for _ in range(20)]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["reason"] for answer in answers} == {"read_method"}
        assert not any("gmf_token" in answer.cookies for answer in answers)


def test_who_has_written_to_a_primary_that_is_back_reads_it_though_no_probe_has_seen_it_yet(
    gmf_cluster: LocalCluster, migrated: Any
) -> None:
    # Two probes must have answered before the monitor calls it up again.
    health = {**HEALTH, "INTERVAL": 5.0}
    with served("gunicorn", environment(gmf_cluster, router={"HEALTH": health}), workers=1) as site:
        with client_of(site) as writer:
            until(lambda: writer.get("/one-read").json()["role"] == "replica")
            paused(gmf_cluster)
            gmf_cluster.kill("primary")
            assert writer.post("/save").status_code == 503
            gmf_cluster.restart("primary")
            until(lambda: writer.post("/save").status_code == 201)
            # In the other threads of the site, too, which are not connected there.
            token = dict(writer.cookies)
            with ThreadPoolExecutor(8) as threads:
                answers = list(threads.map(lambda _: httpx.get(f"{site.url}/one-read", cookies=token), range(32)))
        assert {(answer.status_code, answer.json().get("reason")) for answer in answers} == {(200, "consistency")}


def led_by_replica_2(env: dict[str, str]) -> dict[str, str]:
    """Return the environment in which replica_2 is the primary, and replica_1 its only replica."""
    databases = json.loads(env["GMF_TEST_DATABASES"])
    primary = {**databases.pop("replica_2"), "OPTIONS": {}}
    router = {"HEALTH": HEALTH, "REPLICAS": ["replica_1"]}
    return {
        **env,
        "GMF_TEST_DATABASES": json.dumps({**databases, "default": primary}),
        "GMF_TEST_ROUTER": json.dumps(router),
    }


def test_no_token_is_served_by_a_stray_replica_that_is_ahead_on_the_old_timeline(
    gmf_cluster: LocalCluster, migrated: Any
) -> None:
    env = environment(gmf_cluster, router={"HEALTH": HEALTH})
    gmf_cluster.pause("replica_2")
    with served("gunicorn", env, workers=1) as site, client_of(site) as client:
        until(lambda: client.get("/one-read").json()["role"] == "replica")
        client.post("/save")
        gmf_cluster.wait_for_replay("replica_1")
        token = client.cookies["gmf_token"]
    # replica_2, behind, becomes the primary; replica_1 has what the token says, of a history that was given up.
    gmf_cluster.kill("primary")
    gmf_cluster.resume("replica_2")
    gmf_cluster.promote("replica_2")
    env = led_by_replica_2(env)
    with served("gunicorn", env, workers=1) as site, client_of(site, cookies={"gmf_token": token}) as client:
        until(lambda: httpx.get(f"{site.url}/one-read", timeout=30).status_code == 200)
        for _ in range(20):
            assert client.get("/one-read").json()["reason"] in {"consistency", "no_replica"}


def test_no_token_is_served_by_a_stray_replica_that_the_new_primary_has_passed(
    gmf_cluster: LocalCluster, migrated: Any
) -> None:
    env = environment(gmf_cluster, router={"HEALTH": HEALTH})
    # replica_2 does not even receive what is given up.
    gmf_cluster.kill("replica_2")
    gmf_cluster.execute("primary", "CREATE TABLE given_up AS SELECT generate_series(1, 10000)")
    gmf_cluster.wait_for_replay("replica_1")
    stands = replayed(gmf_cluster)
    gmf_cluster.kill("primary")
    gmf_cluster.restart("replica_2")
    gmf_cluster.promote("replica_2")
    env = led_by_replica_2(env)
    name = "written by the new primary"
    with served("gunicorn", env, workers=1) as site, client_of(site) as client:
        # The token is of the new timeline, and before where the stray stands.
        client.post("/save", params={"name": name})
        token = client.cookies["gmf_token"]
        written = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
        assert int(gmf_cluster.execute("replica_2", written)[0][0]) < stands
    gmf_cluster.execute("replica_2", "CREATE TABLE much AS SELECT generate_series(1, 100000)")
    assert int(gmf_cluster.execute("replica_2", written)[0][0]) > stands
    # Nobody has seen the stray beyond its primary.
    with served("gunicorn", env, workers=1) as site, client_of(site, cookies={"gmf_token": token}) as client:
        until(lambda: httpx.get(f"{site.url}/one-read", timeout=30).json()["alias"] == "replica_1")
        for _ in range(20):
            assert client.get("/one-read").json()["reason"] == "consistency"


def replayed(cluster: LocalCluster) -> int:
    """Where replica_1 stands, in bytes."""
    return int(cluster.execute("replica_1", "SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn")[0][0])


def test_a_script_tells_a_worker_what_to_wait_for(gmf_cluster: LocalCluster, migrated: Any) -> None:
    env = environment(gmf_cluster, router={"HEALTH": HEALTH})
    script = (
        "from django_gmf_router import consistency_token, read_after, use_replica, current_decision\n"
        "from tests.books.models import Author\n"
        "Author.objects.create(name='by a script')\n"
        "token = consistency_token()\n"
        "with use_replica():\n    Author.objects.count()\n    print(current_decision().reason)\n"
        "with read_after(token), use_replica():\n    Author.objects.count()\n    print(current_decision().reason)\n"
        "with read_after('expired'), use_replica(level='eventual'):\n    pass\n"
        "with read_after('expired'):\n    Author.objects.count()\n    print(current_decision().reason)\n"
    )
    paused(gmf_cluster)
    done = manage(env, "shell", "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-3:] == ["use_replica", "consistency", "consistency"]
