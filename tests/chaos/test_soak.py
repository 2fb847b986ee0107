"""Does anything grow, memory, threads, files, connections, while nodes fail again and again under load?

Only with GMF_SOAK: half an hour, in CI a minute, or as long as GMF_SOAK_SECONDS says.
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
from tests.chaos.sites import EACH_DRIVER_ONCE, HANG_SECONDS, MAX_LAG, ChaosSite, chaos_site
from tests.chaos.usage import Samples

SECONDS = float(os.environ.get("GMF_SOAK_SECONDS") or (60 if os.environ.get("CI") else 1800))
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


class Story:
    """What was done, and when."""

    def __init__(self) -> None:
        self._told: list[tuple[float, str]] = []

    def tell(self, what: str) -> None:
        self._told.append((time.monotonic(), what))

    def around(self, answer: Answer) -> list[str]:
        """What was done half a minute before an answer and since, in seconds since it began."""
        since = [(at - answer.began, what) for at, what in self._told]
        return [f"{seconds:+.2f} s: {what}" for seconds, what in since if -30 < seconds < answer.seconds]


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
    reads, writes, story = Tally({200}), Tally({200, 503}), Story()
    with ExitStack() as loads:
        for site in sites:
            loads.enter_context(Load(site.url, site.pages, clients=3, pause_seconds=0.02, keep=reads.keep))
            post = Load(site.url, ["/change"], clients=1, pause_seconds=0.2, method="POST", keep=writes.keep)
            loads.enter_context(post)
        began, before = time.monotonic(), workers(sites)
        while time.monotonic() - began < SECONDS:
            fault = rng.choice(sorted(FAULTS))
            faults[fault] += 1
            replica = rng.choice(REPLICAS)
            story.tell(f"{fault} {replica}")
            FAULTS[fault](cluster, replica)
            # A fault lasts as long as it lasts: that is what the load meets.
            time.sleep(MAX_LAG + 3 if fault == "pause" else rng.uniform(*FAULT_SECONDS))
            story.tell("heal")
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
    for bad in (reads.bad, writes.bad):
        assert not bad, "\n".join([*map(str, bad[:10]), *story.around(bad[0]), *(site.errors() for site in sites)])
    assert not samples.grown(), "\n".join(samples.grown())
