"""What does one slow replica cost a site? A tenth of the benchmark `slow`, and beside a twin.

The twin is the same site on the same servers at the same time, for which no replica is slow: what else the machine does
hits both alike. Where 30 processes wanted two cores, one span of a site had between 0.4 and 1.8 times the throughput of
another one of 3 to 6 seconds, in 9 of 10 pairs; beside the twin between 0.8 and 1.15 times.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from benchmarks.slowness import OURS, WAYS
from benchmarks.slowness.clients import CLIENTS
from benchmarks.slowness.sites import serving, setups
from benchmarks.slowness.stage import Stage
from benchmarks.slowness.story import SETTLED_SECONDS
from django_gmf_router.testing import LocalCluster
from tests.chaos.load import Load
from tests.chaos.runs import NOTES, listed
from tests.waiting import until

WARM_UP, MEASURED = 500, 3000
KEPT = 0.5
"""Of the throughput with both fast. The budget, 0.9, is the benchmark's, where nothing else runs; what does not avoid a
slow replica keeps less than 0.2."""
LONG_SECONDS = 120.0  # by which a test fails, not which it waits


@pytest.fixture
def stage(gmf_cluster: LocalCluster) -> Iterator[Stage]:
    """The cluster, whose replicas can be made slow."""
    with Stage(gmf_cluster) as standing:
        yield standing


def against(twin: Load, load: Load, requests: int) -> float:
    """Wait until the twin answered so many more requests, and return how many `load` got for each of them."""
    before, twins = len(load.answers), len(twin.answers)
    twin.wait_for(twins + requests, LONG_SECONDS)
    return (len(load.answers) - before) / (len(twin.answers) - twins)


@pytest.mark.parametrize("way", WAYS)
def test_one_slow_replica_of_two_does_not_take_the_throughput_with_it(way: str, stage: Stage) -> None:
    (ours,) = [setup for setup in setups() if setup.name == OURS]
    with (
        serving(ours, stage) as site,
        serving(ours, stage, is_spared=True) as other,
        Load(site.url, ["/"], clients=CLIENTS, pause_seconds=0) as load,
        Load(other.url, ["/"], clients=CLIENTS, pause_seconds=0) as twin,
    ):
        against(twin, load, WARM_UP)
        load.wait_for(WARM_UP, LONG_SECONDS)
        fast = against(twin, load, MEASURED)
        stage.slow(way, stage.replicas[:1])
        settled = time.monotonic() + SETTLED_SECONDS
        until(lambda: twin.answers[-1].began > settled, LONG_SECONDS, "the site had time to notice")
        slow = against(twin, load, MEASURED)
        stage.slow(way, [])
    NOTES.append(
        f"one of two replicas slow by {way}: {slow / fast:.2f} of the throughput, {len(load.answers)} requests"
    )
    failed = [answer for answer in load.answers if answer.is_failed]
    assert not failed, listed(failed)
    assert slow / fast >= KEPT, NOTES[-1]
