"""Does anything grow, memory, threads, files, connections, while nodes fail again and again under load?

Half an hour with GMF_SOAK, one minute without; GMF_SOAK_SECONDS says otherwise.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from django_gmf_router.testing import LocalCluster
from tests.chaos.load import Answer, Load
from tests.chaos.runs import NOTES
from tests.chaos.sites import EACH_DRIVER_ONCE, HANG_SECONDS, IS_SOAK, MAX_LAG, ChaosSite, chaos_site
from tests.chaos.usage import Samples

SECONDS = float(os.environ.get("GMF_SOAK_SECONDS") or (1800 if IS_SOAK else 60))
REPLICAS = ("replica_1", "replica_2")
FAULT_SECONDS = (0.5, HANG_SECONDS + 1)
WARM_UP_CYCLES = 2

Fault = Callable[[LocalCluster, str], None]
FAULTS: dict[str, Fault] = {
    "kill": lambda cluster, replica: cluster.kill(replica),
    "freeze": lambda cluster, replica: cluster.freeze(replica),
    "restart": lambda cluster, replica: cluster.restart(replica),
    "pause": lambda cluster, replica: cluster.pause(replica),
    "promote": lambda cluster, replica: cluster.promote(replica),
    "kill both": lambda cluster, _: [cluster.kill(each) for each in REPLICAS] and None,
    "freeze both": lambda cluster, _: [cluster.freeze(each) for each in REPLICAS] and None,
    "kill primary": lambda cluster, _: cluster.kill("primary"),
}


class Tally:
    """What the clients got, without keeping all of it."""

    def __init__(self, accepted: set[int]) -> None:
        self.statuses: Counter[int | None] = Counter()
        self.bad: list[Answer] = []
        self.slowest = 0.0
        self._accepted = accepted

    def keep(self, answer: Answer) -> None:
        self.statuses[answer.status] += 1
        self.slowest = max(self.slowest, answer.seconds)
        if answer.status not in self._accepted:
            self.bad.append(answer)


@pytest.fixture
def sites(library: LocalCluster, cluster: LocalCluster) -> Iterator[list[ChaosSite]]:
    """The site under both servers, each on a driver of its own, at the same time."""
    with ExitStack() as stack:
        yield [stack.enter_context(chaos_site(*which, library)) for which in EACH_DRIVER_ONCE]


def workers(sites: list[ChaosSite]) -> dict[str, int]:
    """The processes that serve, by a name for each."""
    return {
        f"{site.name} {number}": pid
        for site in sites
        for number, pid in enumerate(sorted(site.each_worker("/monitor")), start=1)
    }


@pytest.mark.soak
def test_nothing_grows_while_nodes_fail_again_and_again(sites: list[ChaosSite], cluster: LocalCluster) -> None:
    seed = random.randrange(10**6)
    rng, samples, faults = random.Random(seed), Samples(), Counter[str]()
    reads, writes = Tally({200}), Tally({200, 503})
    with ExitStack() as loads:
        for site in sites:
            loads.enter_context(Load(site.url, site.pages, clients=3, pause_seconds=0.02, keep=reads.keep))
            post = Load(site.url, ["/change"], clients=1, pause_seconds=0.2, method="POST", keep=writes.keep)
            loads.enter_context(post)
        began, before = time.monotonic(), workers(sites)
        while time.monotonic() - began < SECONDS:
            fault = rng.choice(sorted(FAULTS))
            faults[fault] += 1
            FAULTS[fault](cluster, rng.choice(REPLICAS))
            time.sleep(MAX_LAG + 3 if fault == "pause" else rng.uniform(*FAULT_SECONDS))
            cluster.heal()
            for site in sites:
                site.wait_until_whole()
            if faults.total() > WARM_UP_CYCLES:
                samples.take(before, cluster)
        after = workers(sites)
    NOTES.append(f"soak of {SECONDS:g} s with seed {seed}: {dict(faults)}")
    NOTES.append(f"GETs {dict(reads.statuses)}, slowest {reads.slowest:.2f} s; POSTs {dict(writes.statuses)}")
    NOTES.extend(samples.lines())
    assert after == before
    assert not reads.bad, "\n".join(map(str, reads.bad[:10]))
    assert not writes.bad, "\n".join(map(str, writes.bad[:10]))
    assert not samples.grown(), "\n".join(samples.grown())
