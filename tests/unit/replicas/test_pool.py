"""Is one replica picked, in proportion to the weights, and mirrored in a test run only?"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from django.test import utils as test_utils
from hypothesis import given
from hypothesis import strategies as st

from django_gmf_router.replicas.freshness import Freshness
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.pool import ReplicaPool, WeightedRandom
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig


def pool(**weights: float) -> ReplicaPool:
    points = itertools.cycle(number / 100 for number in range(100))
    replicas = [ReplicaConfig(alias=alias, weight=weight) for alias, weight in weights.items()]
    config = ClusterConfig(primary="default", replicas=tuple(replicas))
    monitor = Monitor(config)
    monitor.stop()  # Before it began: nothing is to be watched.
    return ReplicaPool(config, monitor, Freshness(config, monitor), balancer=WeightedRandom(points.__next__))


@pytest.mark.usefixtures("unmirrored")
def test_replicas_are_picked_in_proportion_to_their_weights() -> None:
    weighted = pool(replica_1=3, replica_2=1)
    assert Counter(weighted.pick()[0] for _ in range(100)) == {"replica_1": 75, "replica_2": 25}


def test_no_replica_is_none() -> None:
    assert pool().pick() == (None, "no_replica")


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=5), st.floats(0, 1, exclude_max=True))
def test_some_replica_is_always_picked(weights: list[float], point: float) -> None:
    candidates = [(f"replica_{number}", weight) for number, weight in enumerate(weights)]
    assert WeightedRandom(lambda: point).pick(candidates) in dict(candidates)


def test_a_mirrored_replica_is_one_in_a_test_run_only(monkeypatch: pytest.MonkeyPatch) -> None:
    replicas = pool(replica_1=1)
    assert replicas.is_mirrored("replica_1")
    state: Any = test_utils._TestState  # type: ignore[attr-defined]
    monkeypatch.delattr(state, "saved_data")
    assert not replicas.is_mirrored("replica_1")


@pytest.mark.usefixtures("unmirrored")
def test_a_replica_without_mirror_is_asked_itself_in_a_test_run_too() -> None:
    assert not pool(replica_1=1).is_mirrored("replica_1")
