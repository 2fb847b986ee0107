"""Does a job find the row of its sender, as its level says, while replicas lag at random?

In each pool of Celery: 2,000 jobs a level in a soak, else a tenth of it in two pools, all of a pool in one process.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.plugin import refuse
from tests.consistency.disturbance import Disturbance
from tests.jobs.processes import Send, Worker, worker
from tests.turns import IS_SOAK

JOBS = 2_000 if IS_SOAK else 100
POOLS = ("prefork", "gevent", "threads", "solo") if IS_SOAK else ("prefork", "gevent")
CONCURRENCY = {"prefork": 1, "gevent": 4, "threads": 4, "solo": 1}
LEAST_SHARE = 0.9
ATTEMPTS = 3
# Well under the second that a delayed job is patient for, and long enough apart for it to look in between.
SHORT = {"paused_seconds": (0.02, 0.4), "between_seconds": (0.15, 0.3)}
# A hundred jobs take a second: a long pause could last as long as all of them.
PAUSES: dict[str, tuple[float, float]] = {} if IS_SOAK else SHORT

Told = dict[str, Any]


@pytest.fixture(scope="module", params=POOLS)
def running(
    request: pytest.FixtureRequest, env: dict[str, str], send: Send, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """A worker of one process that has served before: one that has just started does not know its nodes yet."""
    pool = request.param
    if pool == "gevent" and find_spec("gevent") is None:
        refuse("the Python package gevent is needed: pip install gevent")
    with worker(env, tmp_path_factory.mktemp("worker"), pool, CONCURRENCY[pool]) as started:
        assert send("warm_up", 1, f"warm up {pool}"), started.text()
        yield started


@pytest.fixture
def seed(figures: list[str]) -> int:
    """A new one each time; it is printed, though timing never repeats."""
    chosen = random.SystemRandom().randrange(10**6)
    figures.append(f"seed {chosen}")
    return chosen


def share(found: list[Told]) -> float:
    """Return which part of the jobs read from a replica."""
    return sum(told["alias"] != "default" for told in found) / len(found)


def line(what: str, running: Worker, found: list[Told]) -> str:
    missing = sum(not told["found"] for told in found)
    reasons = dict(Counter(told["reason"] for told in found))
    head = f"{running.pool:8} {what:28} {len(found):5} jobs {missing:5} missing"
    return f"{head} {share(found):7.1%} from replicas {reasons}"


def assert_nothing_leaks(found: list[Told]) -> None:
    assert [told for told in found if not told["is_clean"] or told["left"]] == []
    assert len({told["pid"] for told in found}) == 1


@pytest.mark.soak
def test_session_reads_from_replicas_while_they_keep_up(
    running: Worker, cluster: LocalCluster, send: Send, figures: list[str], name: str
) -> None:
    # On a machine that others share replicas fall behind by themselves: a share that is too small is measured again.
    for attempt in range(ATTEMPTS):
        found = send("many", "session", JOBS, f"{name} {attempt}")
        figures.append(line("session, replicas keep up", running, found))
        assert [told for told in found if not told["found"]] == []
        assert_nothing_leaks(found)
        if share(found) >= LEAST_SHARE:
            break
    assert share(found) >= LEAST_SHARE


@pytest.mark.soak
def test_session_misses_no_row_while_replicas_lag(
    running: Worker, cluster: LocalCluster, send: Send, figures: list[str], name: str, seed: int
) -> None:
    with Disturbance(cluster, seed, crashes=False, **PAUSES) as disturbance:
        found = send("many", "session", JOBS, name)
    figures.append(line(f"session, {disturbance.pauses} pauses", running, found))
    assert [told for told in found if not told["found"]] == []
    # It would be no proof if the replicas had not lagged, or had not served.
    assert {"consistency", "unit_of_work"} <= {told["reason"] for told in found}
    assert_nothing_leaks(found)


@pytest.mark.soak
def test_delayed_waits_for_a_replica_and_leaves_the_primary_alone_while_pauses_are_short(
    running: Worker, cluster: LocalCluster, send: Send, figures: list[str], name: str, seed: int
) -> None:
    with Disturbance(cluster, seed, crashes=False, **SHORT) as disturbance:
        found = send("many", "delayed", JOBS, name)
    figures.append(line(f"delayed, {disturbance.pauses} short pauses", running, found))
    assert [told for told in found if not told["found"] or told["alias"] == "default"] == []
    assert disturbance.pauses > 1
    assert_nothing_leaks(found)


@pytest.mark.soak
def test_delayed_misses_no_row_while_pauses_are_long(
    running: Worker, cluster: LocalCluster, send: Send, figures: list[str], name: str, seed: int
) -> None:
    with Disturbance(cluster, seed, crashes=False) as disturbance:
        found = send("many", "delayed", JOBS // 4, name)
    figures.append(line(f"delayed, {disturbance.pauses} pauses", running, found))
    assert [told for told in found if not told["found"]] == []
    assert_nothing_leaks(found)


@pytest.mark.soak
def test_eventual_misses_rows_so_that_the_check_has_teeth(
    running: Worker, cluster: LocalCluster, send: Send, figures: list[str], name: str, seed: int
) -> None:
    with Disturbance(cluster, seed, crashes=False, **PAUSES) as disturbance:
        found = send("many", "eventual", JOBS, name)
    figures.append(line(f"eventual, {disturbance.pauses} pauses", running, found))
    assert sum(not told["found"] for told in found) > len(found) / 50
    assert {told["reason"] for told in found} == {"unit_of_work"}
    assert_nothing_leaks(found)


@pytest.mark.soak
def test_strong_reads_from_the_primary(
    running: Worker, paused: LocalCluster, send: Send, figures: list[str], name: str
) -> None:
    found = send("many", "strong", JOBS // 4, name)
    figures.append(line("strong, replicas paused", running, found))
    assert {(told["found"], told["alias"], told["reason"]) for told in found} == {(True, "default", "use_primary")}
    assert_nothing_leaks(found)


def test_a_job_that_ends_badly_leaves_nothing_to_the_next_one(
    running: Worker, cluster: LocalCluster, send: Send, name: str
) -> None:
    ways = ["return", "raise", "reject", "ignore", "atomic"] * 4
    send("bad_ends", ways, name)
    assert send("revoked", "session", name) == "REVOKED"
    found = send("many", "session", 8, f"{name} next")
    assert all(told["found"] for told in found)
    assert_nothing_leaks(found)
