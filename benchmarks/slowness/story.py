"""What happens to a site when one replica turns slow, when it is fast again, and when both are slow?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

from benchmarks.slowness.clients import Request, asking
from benchmarks.slowness.sites import Setup, serving
from benchmarks.slowness.stage import Stage
from tests.chaos.load import Client
from tests.cluster.sites import Site

SETTLED_SECONDS = 3.0
"""Three INTERVALs of HEALTH, whose default is a second: by then a site has to have noticed."""
# What counts as a replica's share being back, of what it was before; over which seconds, and looked at how often.
BACK = 0.8
WINDOW_SECONDS = 1.0
STEP_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """How many seconds each part of a story is measured; `slow` and `both` once the site had time to notice."""

    warm_up: float = 3.0
    fast: float = 5.0
    slow: float = 6.0
    again: float = 16.0
    both: float = 3.0

    def stretched(self, times: float) -> Lengths:
        """Return the same story, told so many times more slowly."""
        return Lengths(**{each.name: times * getattr(self, each.name) for each in fields(self)})


class Span:
    """The requests that were answered in some seconds of a story, which begin at each of `moments`."""

    def __init__(self, requests: Sequence[Request], seconds: float, *moments: float) -> None:
        self.requests = [
            request for request in requests for began in moments if began <= request.ended < began + seconds
        ]
        self._seconds = seconds * len(moments)

    @property
    def throughput(self) -> float:
        """Good answers a second."""
        return sum(not request.is_failed for request in self.requests) / self._seconds

    @property
    def p99_seconds(self) -> float:
        """What 99 of 100 requests did not exceed."""
        taken = sorted(request.seconds for request in self.requests)
        return taken[len(taken) * 99 // 100]

    def reads(self, port: int) -> int:
        """Return how many reads the server on this port answered."""
        return sum(request.ports.count(port) for request in self.requests)

    def share(self, port: int) -> float:
        """Return which share of all reads that is."""
        return self.reads(port) / max(1, sum(len(request.ports) for request in self.requests))


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What one site went through: a replica was slow, in one way, and the other one was not."""

    site: str
    way: str
    ports: tuple[int, int]
    """Of the replica that was slow, and of the other one."""
    lengths: Lengths
    moments: dict[str, float]
    """When each part began, in monotonic seconds."""
    requests: list[Request]

    @property
    def fast(self) -> Span:
        """Both are fast: before one is slow, and at the end of `again`, so that a drift of the machine is halved."""
        end = self.moments["again"] + self.lengths.again
        return self._span(self.lengths.fast, self.moments["fast"], end - self.lengths.fast)

    @property
    def slow(self) -> Span:
        """One is slow, and the site had time to notice."""
        return self._span(self.lengths.slow, self.moments["slow"] + SETTLED_SECONDS)

    @property
    def both(self) -> Span:
        """Both are slow, and the site had time to notice."""
        return self._span(self.lengths.both, self.moments["both"] + SETTLED_SECONDS)

    @property
    def failed(self) -> list[Request]:
        """The requests without a good answer, from the first to the last."""
        return [request for request in self.requests if request.is_failed]

    @property
    def back_seconds(self) -> float:
        """How long after it was fast again the replica had its share for a second; all of `again` if it never had."""
        port, _ = self.ports
        before = self._span(self.lengths.fast, self.moments["fast"])
        wanted, since = BACK * before.share(port), self.moments["again"]
        for step in range(int((self.lengths.again - WINDOW_SECONDS) / STEP_SECONDS)):
            if self._span(WINDOW_SECONDS, since + step * STEP_SECONDS).share(port) >= wanted:
                return step * STEP_SECONDS + WINDOW_SECONDS
        return self.lengths.again

    @property
    def read_seconds(self) -> tuple[float, float]:
        """The seconds between two reads of the idler and of the busier replica, while both are slow."""
        idler, busier = sorted(self.both.reads(port) for port in self.ports)
        # None at all counts as one, so that it is a number, and far beyond the budget.
        return self.lengths.both / max(1, idler), self.lengths.both / max(1, busier)

    def throughputs(self, bin_seconds: float) -> list[float]:
        """Return the throughput over time, from when both are fast until the end of `again`."""
        began = self.moments["fast"]
        bins = int((self.moments["again"] + self.lengths.again - began) / bin_seconds)
        return [self._span(bin_seconds, began + number * bin_seconds).throughput for number in range(bins)]

    def _span(self, seconds: float, *moments: float) -> Span:
        return Span(self.requests, seconds, *moments)


def play(setup: Setup, stage: Stage, way: str, lengths: Lengths) -> Story:
    """Let it happen to one site; a part without a length is left out."""
    slow, other = stage.replicas
    parts = {
        "warm_up": ([], lengths.warm_up),
        "fast": ([], lengths.fast),
        "slow": ([slow], SETTLED_SECONDS + lengths.slow),
        "again": ([], lengths.again),
        "both": ([slow, other], SETTLED_SECONDS + lengths.both if lengths.both else 0),
    }
    moments = {}
    with serving(setup, stage) as site:
        _expect_page(site)
        with asking(site.url) as requests:
            for part, (replicas, seconds) in parts.items():
                if seconds:
                    stage.slow(way, replicas)
                    moments[part] = time.monotonic()
                    time.sleep(seconds)
            stage.slow(way, [])
    ports = (stage.server_port(slow), stage.server_port(other))
    return Story(site=setup.name, way=way, ports=ports, lengths=lengths, moments=moments, requests=requests)


def _expect_page(site: Site) -> None:
    """Raise unless the page is served: the time of an error page is no figure."""
    client = Client(site.url)
    answer = client.ask("/")
    client.close()
    if answer.is_failed:
        raise AssertionError(f"{answer}\n{site.log.read_text(errors='replace')[-3000:]}")
