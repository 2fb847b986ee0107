"""Do pools, tiers and the primary's share hold while replicas die, and does the primary not drown when all did?"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest

from django_gmf_router.testing import LocalCluster
from tests.chaos.conftest import fill
from tests.chaos.load import Answer, Load
from tests.chaos.runs import NOTES, RETURN_SECONDS
from tests.chaos.sites import COMBINATIONS, INTERVAL, WORKERS, ChaosSite, chaos_site
from tests.waiting import until

REPLICAS = ("replica_1", "replica_2", "replica_3")
POOLED = {
    "REPLICAS": {"replica_1": {}, "replica_2": {"TIER": 2}, "replica_3": {"POOL": "reports"}},
    "POOLS": {"reports": ["GET /me$"]},
}
# All of the site's sessions but the monitor's; the idle ones have nothing to do with the primary's load.
SESSIONS = """
SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND backend_type = 'client backend' AND application_name <> 'gmf_monitor'
"""
SPILL = 1
WRITERS = 2


@pytest.fixture(scope="module")
def three() -> Iterator[LocalCluster]:
    """A cluster with three replicas."""
    with LocalCluster(replicas=3) as cluster:
        fill(cluster)
        yield cluster


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def combination(request: pytest.FixtureRequest, three: LocalCluster) -> tuple[str, str]:
    """A web server and a driver, on the whole cluster."""
    three.heal()
    pair: tuple[str, str] = request.param
    return pair


@contextmanager
def serving(combination: tuple[str, str], cluster: LocalCluster, router: Any, **database: Any) -> Iterator[ChaosSite]:
    with chaos_site(*combination, cluster, router=router, **database) as site:
        site.wait_until_whole()
        yield site


def since(load: Load, count: int, after: int) -> list[Answer]:
    """Wait for so many further answers, and return them."""
    load.wait_for(after + count)
    return load.answers[after:]


def ports(answers: list[Answer], path: str) -> set[int]:
    return {answer.body["port"] for answer in answers if answer.path == path}


def test_pools_and_tiers_stand_in_for_each_other_as_their_replicas_die(
    combination: tuple[str, str], three: LocalCluster
) -> None:
    port = {name: three.port(name) for name in ("primary", *REPLICAS)}
    with serving(combination, three, POOLED) as site, Load(site.url, ["/page", "/me"]) as load:

        def serve(page: str, report: str) -> None:
            """Wait until pages and reports come from these nodes and from no others."""

            def do() -> bool:
                answers = since(load, 50, len(load.answers))
                return (ports(answers, "/page"), ports(answers, "/me")) == ({port[page]}, {port[report]})

            until(do, 10 * RETURN_SECONDS, f"{page} serves the pages and {report} the reports")

        serve("replica_1", "replica_3")
        three.kill("replica_3")
        serve("replica_1", "replica_1")
        three.kill("replica_1")
        serve("replica_2", "replica_2")
        three.kill("replica_2")
        serve("primary", "primary")
        three.restart("replica_3")
        serve("primary", "replica_3")
        three.restart("replica_2")
        serve("replica_2", "replica_3")
        three.restart("replica_1")
        serve("replica_1", "replica_3")
    assert [answer for answer in load.answers if answer.is_failed] == []


def test_the_primary_takes_its_share_of_the_reads(combination: tuple[str, str], three: LocalCluster) -> None:
    router = {"REPLICAS": ["replica_1"], "PRIMARY_WEIGHT": 1.0}
    with serving(combination, three, router) as site, Load(site.url, ["/page"]) as load:
        answers = since(load, 600, len(load.answers))
    found = Counter((answer.body["alias"], answer.body["reason"]) for answer in answers)
    assert set(found) == {("default", "shared"), ("replica_1", "read_method")}
    # Five deviations of 600 fair throws.
    assert abs(found["default", "shared"] / len(answers) - 0.5) < 0.1
    assert ports(answers, "/page") == {three.port("primary"), three.port("replica_1")}


class Watch:
    """Counts the site's sessions on the primary, as often as it can, until the block ends."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._connection = psycopg.connect(cluster.dsn("primary"), autocommit=True)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.counts: list[tuple[int, int]] = []

    def _run(self) -> None:
        while not self._ended.is_set():
            row = self._connection.execute(SESSIONS).fetchone()
            assert row is not None
            self.counts.append((row[0], row[1]))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._ended.set()
        self._thread.join(10)
        self._connection.close()


@pytest.mark.parametrize("writers", [0, WRITERS], ids=["readers", "readers and writers"])
def test_the_primary_keeps_to_its_limit_when_all_replicas_die_and_writes_go_on(
    combination: tuple[str, str], three: LocalCluster, writers: int
) -> None:
    server, _ = combination
    router = {"REPLICAS": list(REPLICAS), "SPILL": SPILL}
    # Sessions of writers that outlive their request could not be told from those of readers.
    database = {"CONN_MAX_AGE": 0} if writers else {}
    with ExitStack() as stack:
        site = stack.enter_context(serving(combination, three, router, **database))
        load = stack.enter_context(Load(site.url, site.pages, clients=24, pause_seconds=0.0))
        load.wait_for(300)
        assert not any(answer.is_failed for answer in load.answers)
        written = stack.enter_context(Load(site.url, ["/change"], clients=writers, method="POST")) if writers else None
        seen = len(site.log())
        # The sessions that there are belong to nobody who reads in place of a replica.
        watch = stack.enter_context(Watch(three))
        for replica in REPLICAS:
            three.kill(replica)
            # One by one: the third death in one request fails it, as documented.
            site.wait_until_each_worker_logs(f"The replica {replica} is down", seen)
        site.wait_until_each_worker_logs("event=no_replica", seen)
        at, known, counted = time.monotonic(), len(load.answers), len(watch.counts)
        answers = since(load, 1000, known)
        counts = watch.counts[counted:]
        before = load.answers[:known]
        if written:
            written.wait_for(20)
        each, errors = site.log()[seen:], site.errors()
    limit = SPILL * WORKERS[server] + writers
    statuses = Counter(answer.status for answer in answers)
    most, busiest = (max(column) for column in zip(*counts, strict=True))
    NOTES.append(
        f"spill, {'-'.join(combination)}: 3 replicas killed, 24 clients, limit {limit}: at most {most} sessions on the "
        f"primary, {busiest} at work, in {len(counts)} looks; {dict(statuses)}"
    )
    assert set(statuses) == {200, 503}, errors
    assert {answer.status for answer in before} <= {200, 503}
    # One whose replica died under it has moved.
    served = [answer.body for answer in answers if answer.status == 200 and answer.began >= at]
    assert {body["port"] for body in served} == {three.port("primary")}
    assert {body["reason"] for body in served} <= {"no_replica", "read_method"}
    assert {answer.retry_after for answer in answers if answer.status == 503} == {str(int(2 * INTERVAL))}
    assert 0 < busiest <= limit
    # One that ends is still there as the next one begins.
    assert most <= 2 * limit
    assert "event=spill" in each
    assert "event=unavailable" not in each
    assert not written or {answer.status for answer in written.answers} == {200}
