"""What do readers notice when a replica is slow: by its queries alone, or by the wire?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from django_gmf_router.testing import LocalCluster
from tests.chaos.load import Answer, Load
from tests.chaos.proxy import Proxy
from tests.chaos.runs import NOTES
from tests.chaos.sites import HEALTH, ChaosSite, chaos_site
from tests.waiting import until

SECONDS = 0.3
BACK_SECONDS = 15.0
SEEN_SECONDS = 10.0  # of two noisy cores; without noise 3 intervals
READS = 1500
SHARE = 0.01  # 0.005, and two noisy cores
PATHS = ["/held-up"]
SLOWNESS = """
CREATE TABLE IF NOT EXISTS slowness (port integer PRIMARY KEY, seconds double precision NOT NULL);
TRUNCATE slowness;
CREATE OR REPLACE FUNCTION hold_up() RETURNS text LANGUAGE sql VOLATILE SECURITY DEFINER AS
    $$ SELECT pg_sleep(seconds)::text FROM slowness WHERE port = current_setting('port')::int $$;
"""
Lever = Callable[[float], object]
"""Makes replica_1 slow by so many seconds a read; by 0 it is as fast as ever."""


@pytest.fixture(scope="module")
def held_up(library: LocalCluster) -> LocalCluster:
    """The cluster, with what the page asks for."""
    library.execute("primary", SLOWNESS)
    library.wait_for_replay()
    return library


@pytest.fixture(scope="module")
def proxy(library: LocalCluster) -> Iterator[Proxy]:
    with Proxy(library.port("replica_1")) as running:
        yield running


@pytest.fixture(scope="module", params=[("gunicorn", "psycopg")], ids="-".join)
def served_site(request: pytest.FixtureRequest, held_up: LocalCluster, proxy: Proxy) -> Iterator[ChaosSite]:
    """The site, whose replica_1 is behind the proxy."""
    with chaos_site(*request.param, held_up, aliases={"replica_1": {"PORT": proxy.port}}) as running:
        yield running


@pytest.fixture
def site(served_site: ChaosSite, cluster: LocalCluster, proxy: Proxy) -> Iterator[ChaosSite]:
    """The site on the whole cluster."""
    proxy.pass_on()
    # What its workers remember of the test before gives way to what is read now.
    with Load(served_site.url, PATHS) as load:
        load.wait_for(600)
        served_site.wait_until_whole()
    yield served_site
    proxy.pass_on()
    cluster.execute("primary", "TRUNCATE slowness")


def hold_up(cluster: LocalCluster, seconds: float, *nodes: str) -> None:
    """Let each read of the page take so much longer on the nodes, and nothing else."""
    rows = ", ".join(f"({cluster.port(node)}, {seconds})" for node in nodes)
    cluster.execute(
        "primary", f"INSERT INTO slowness VALUES {rows} ON CONFLICT (port) DO UPDATE SET seconds = {seconds}"
    )
    cluster.wait_for_replay()


@pytest.fixture(params=["queries", "wire"])
def lever(request: pytest.FixtureRequest, cluster: LocalCluster, proxy: Proxy) -> Lever:
    """What makes replica_1 slow."""
    if request.param == "queries":
        return lambda seconds: hold_up(cluster, seconds, "replica_1")
    return proxy.slow


@contextmanager
def reading(site: ChaosSite, **load: int | float) -> Iterator[Load]:
    """Read on and on; no read fails, and none goes to the primary."""
    with Load(site.url, PATHS, **load) as running:  # type: ignore[arg-type]
        running.wait_for(20)
        assert not any(answer.is_failed for answer in running.answers), site.errors()
        yield running
    assert [str(answer) for answer in running.answers if answer.is_failed] == []
    assert {answer.body["reason"] for answer in running.answers} == {"read_method"}


def states(site: ChaosSite, alias: str = "replica_1") -> set[str]:
    """Return what the workers know of a replica."""
    return {answer.body["nodes"][alias] for answer in site.each_worker("/monitor").values()}


def becomes(site: ChaosSite, state: str, within_seconds: float) -> float:
    """Wait until every worker knows that replica_1 is in this state; return after how many seconds."""
    began = time.monotonic()
    until(lambda: states(site) == {state}, within_seconds, lambda: f"replica_1 is {state}: {states(site)}")
    return time.monotonic() - began


def share(answers: list[Answer], port: int) -> float:
    return sum(answer.body["port"] == port for answer in answers) / len(answers)


def has_share(load: Load, port: int, within_seconds: float) -> float:
    """Wait until a replica has a fair share of the newest 300 reads; return after how many seconds."""
    began, first = time.monotonic(), len(load.answers)

    def newest() -> list[Answer]:
        return load.answers[max(first, len(load.answers) - 300) :]

    until(lambda: len(newest()) == 300 and share(newest(), port) > 0.3, within_seconds, "it has its share")
    return time.monotonic() - began


def test_a_slow_replica_gets_next_to_no_reads_and_its_share_is_back_when_it_is_fast_again(
    site: ChaosSite, cluster: LocalCluster, lever: Lever
) -> None:
    port, since = cluster.port("replica_1"), len(site.log())
    with reading(site) as load:
        has_share(load, port, BACK_SECONDS)
        lever(SECONDS)
        seen = becomes(site, "slow", SEEN_SECONDS)
        first = len(load.answers)
        load.wait_for(first + READS)
        slow = load.answers[first:]
        lever(0.0)
        back = becomes(site, "up", BACK_SECONDS)
        has_share(load, port, BACK_SECONDS - back)
    NOTES.append(f"slow: seen after {seen:.1f} s, share {share(slow, port):.4f}, back after {back:.1f} s")
    assert share(slow, port) <= SHARE
    log = site.log()[since:]
    assert log.count("event=node_slow") >= site.workers
    assert "is up again; it was slow for" in log


def test_the_share_of_a_replica_that_was_slow_is_back_where_nearly_nobody_reads(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    with reading(site):
        hold_up(cluster, SECONDS, "replica_1")
        becomes(site, "slow", SEEN_SECONDS)
    # Ten a second.
    with reading(site, clients=2, pause_seconds=0.2):
        hold_up(cluster, 0.0, "replica_1")
        NOTES.append(f"slow, ten reads a second: back after {becomes(site, 'up', BACK_SECONDS):.1f} s")


def test_of_replicas_that_are_all_as_slow_none_is_slow(site: ChaosSite, cluster: LocalCluster) -> None:
    since = len(site.log())
    # Before anybody reads: it reaches one of them first.
    hold_up(cluster, SECONDS, "replica_1", "replica_2")
    with reading(site) as load:
        load.wait_for(200)
        ports = [answer.body["port"] for answer in load.answers]
    assert 0.3 < ports.count(cluster.port("replica_1")) / len(ports) < 0.7
    assert "event=node_slow" not in site.log()[since:]


def test_a_slow_replica_serves_when_there_is_no_other(site: ChaosSite, cluster: LocalCluster) -> None:
    with reading(site) as load:
        hold_up(cluster, SECONDS, "replica_1")
        becomes(site, "slow", SEEN_SECONDS)
        cluster.kill("replica_2")
        site.wait_until_known_to_be_down("replica_2")
        load.wait_for_each_client()
        first = len(load.answers)
        load.wait_for(first + 50)
    assert {answer.body["port"] for answer in load.answers[first:]} == {cluster.port("replica_1")}


def test_the_less_busy_of_two_is_read_though_none_is_judged(held_up: LocalCluster, cluster: LocalCluster) -> None:
    router = {"BALANCER": "least_busy", "HEALTH": {**HEALTH, "SLOW": None}}
    port = cluster.port("replica_1")
    with chaos_site("gunicorn", "psycopg", held_up, router=router) as site:
        site.wait_until_whole()
        with reading(site) as load:
            load.wait_for(300)
            even = share(load.answers, port)
            hold_up(cluster, SECONDS, "replica_1")
            first = len(load.answers)
            load.wait_for(first + 600)
            fewer = share(load.answers[first:], port)
            hold_up(cluster, 0.0, "replica_1")
    NOTES.append(f"least busy: {even:.2f} of the reads while both are fast, {fewer:.2f} while it is slow")
    assert even > 0.2
    assert fewer < even / 2
