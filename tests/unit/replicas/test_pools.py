"""Does each pool have its own replicas, the first tier that can serve, and the primary its share?"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from django_gmf_router.consistency.tokens import Mark
from django_gmf_router.replicas.freshness import Freshness
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.observer import Answer
from django_gmf_router.replicas.pool import ReplicaPool, Stable, Wanted, WeightedRandom
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.settings.values import Role, parse

REPLICAS: dict[str, Any] = {
    "near_1": {"WEIGHT": 3},
    "near_2": {},
    "far": {"TIER": 2},
    "reports": {"POOL": "reports"},
    "reports_far": {"POOL": "reports", "TIER": 5},
}
NEAR = {"near_1", "near_2"}


class Pool:
    """A pool whose nodes the test puts down and up again, with random numbers that are always the same."""

    def __init__(self, balancer: Any = None, **entry: Any) -> None:
        config = parse("default", {"REPLICAS": REPLICAS, **entry})
        self.monitor = Monitor(config)
        self.monitor.stop()  # Before it began: nothing is to be watched.
        balancer = balancer or WeightedRandom(random.Random(7).random)
        self.pool = ReplicaPool(config, self.monitor, Freshness(config, self.monitor), balancer=balancer)
        self.pool.is_mirrored = lambda alias: False  # type: ignore[method-assign]

    def down(self, *aliases: str) -> None:
        for alias in aliases:
            self.monitor.report_failure(alias, "connection refused")

    def up(self, alias: str, position: int = 100) -> None:
        role = Role.PRIMARY if alias == "default" else Role.REPLICA
        reading = Reading(up=True, role=role, position=position, flushed=position, timeline=1)
        for _ in range(2):
            self.monitor.answered(Answer(alias=alias, reading=reading, started_at=0.0, finished_at=0.0))

    def served(self, pool: str | None = None, **kwargs: Any) -> set[str | None]:
        return {self.pool.pick(pool=pool, **kwargs)[0] for _ in range(1000)}


def test_a_replica_with_a_pool_serves_that_pool_alone() -> None:
    nodes = Pool()
    assert nodes.served() == NEAR
    assert nodes.served("reports") == {"reports"}


def test_a_lower_tier_serves_only_while_no_higher_one_can() -> None:
    nodes = Pool()
    nodes.down("near_1")
    assert nodes.served() == {"near_2"}
    nodes.down("near_2")
    assert nodes.served() == {"far"}
    nodes.up("near_2")
    assert nodes.served() == {"near_2"}


def test_a_pool_that_is_out_falls_to_the_default_pool_and_then_to_the_primary() -> None:
    nodes = Pool()
    nodes.down("reports")
    assert nodes.served("reports") == {"reports_far"}
    nodes.down("reports_far")
    assert nodes.served("reports") == NEAR
    nodes.down(*NEAR)
    assert nodes.served("reports") == {"far"}
    nodes.down("far")
    assert nodes.pool.pick(pool="reports") == (None, "no_replica")


def test_the_default_pool_never_falls_to_another_one() -> None:
    nodes = Pool()
    nodes.down(*NEAR, "far")
    assert nodes.pool.pick() == (None, "no_replica")
    assert nodes.served("reports") == {"reports"}


def test_that_no_replica_may_serve_is_logged_when_the_last_of_all_pools_is_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nodes = Pool()

    def told() -> int:
        return [vars(record)["event"] for record in caplog.records].count("no_replica")

    nodes.down(*NEAR, "far", "reports")
    assert told() == 0
    nodes.down("reports_far")
    nodes.down("reports_far")
    assert told() == 1
    nodes.up("far")
    nodes.down("far")
    assert told() == 2


def test_a_pool_that_no_replica_has_is_the_default_pool() -> None:
    assert Pool().served("exports") == NEAR


def test_a_client_that_wrote_is_served_by_a_lower_tier_that_has_it_rather_than_by_the_primary() -> None:
    nodes = Pool()
    for alias in ("default", *REPLICAS):
        nodes.up(alias)
    nodes.up("default", 200)
    nodes.up("far", 200)
    nodes.pool.freshness._monitor.is_connected = lambda alias: True  # type: ignore[method-assign]
    nodes.pool.freshness._is_at_home = lambda alias: True  # type: ignore[method-assign]
    wanted = Wanted(mark=Mark(cluster="default", timeline=1, position=150), time=0.0)
    assert nodes.served(wanted=wanted) == {"far"}


def test_the_primary_takes_its_share_by_weight_while_it_is_up() -> None:
    nodes = Pool(PRIMARY_WEIGHT=1)
    found = Counter(nodes.pool.pick() for _ in range(4000))
    assert 700 < found[None, "shared"] < 900
    assert sum(found.values()) - found[None, "shared"] == found["near_1", ""] + found["near_2", ""]
    nodes.down("default")
    assert nodes.served() == NEAR


def test_the_primary_shares_in_the_default_pool_only() -> None:
    assert Pool(PRIMARY_WEIGHT=1000).served("reports") == {"reports"}


def test_without_a_weight_the_primary_takes_nothing() -> None:
    assert None not in Pool().served()


def test_a_client_stays_with_the_primary_too_where_the_balancer_is_stable() -> None:
    nodes = Pool(Stable(), PRIMARY_WEIGHT=4)
    by_client = {key: {nodes.pool.pick(key=key) for _ in range(3)} for key in map(str, range(200))}
    assert all(len(found) == 1 for found in by_client.values())
    assert 60 < sum(found == {(None, "shared")} for found in by_client.values()) < 140
