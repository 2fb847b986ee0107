"""Which nodes of a pool are slow, by what their statements took?

No I/O and no clock: what took how long is told once a round of the health monitor.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain

from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.settings.sections import SlowConfig

# What each number is worth, docs/explanation/slow-replicas.md shows by a simulation.
QUANTILES = (0.25, 0.5, 0.75)
"""Where two nodes are compared: the first sees past reports among tiles, the last sees what every third read meets."""
DEVIATIONS = 2.0
"""How sure each of two must be, in standard deviations; of more nodes surer, since by chance one is the best."""
ENOUGH = 12
"""So many statements speak for themselves: what was before their round is left out."""
HANGING = 3
"""So many that wait at once, while nothing is answered, tell of a node."""
FRESH_ROUNDS = 30
ROUNDS_TO_BE_SLOW = 2
ROUNDS_TO_COME_BACK = 3
BACK = 0.5
"""What is slow has to come below this part of the limit."""
FORGET_ROUNDS = 15
"""What got no read for so long is slow no more: nobody knows."""
READS_A_TRIAL, BUSY_ROUNDS_A_TRIAL, ROUNDS_A_TRIAL = 200, 4, 8
"""A slow node gets one read in 4 rounds where 200 were read since, one in 8 where fewer were."""


class Times:
    """What is remembered of the times of one node."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self.is_slow = False
        self._rounds: deque[Collection[float]] = deque(maxlen=FRESH_ROUNDS)
        self._ordered: list[float] = []
        self.typical: float | None = None
        """The median, in seconds; None: unknown."""
        self.latest = 0.0
        """The shortest of the last round in which there were any."""
        self._silent = 0
        # How many rounds in a row said that it must change.
        self._contrary = 0

    def take(self, took: Collection[float]) -> None:
        """Take the seconds of the statements of a round."""
        self._silent = 0 if took else self._silent + 1
        if self.is_slow and took:
            # What it was says nothing of what it is.
            self._rounds.clear()
        self._rounds.append(took)
        self.latest = min(took, default=self.latest)
        while sum(map(len, self._rounds)) - len(self._rounds[0]) >= ENOUGH:
            self._rounds.popleft()
        self._ordered = sorted(chain.from_iterable(self._rounds))
        if self._ordered:
            self.typical = self._ordered[len(self._ordered) // 2]

    @property
    def is_hopeful(self) -> bool:
        """Whether a node that is slow was fast when it was tried last."""
        return self.is_slow and self._contrary > 0

    def bounds(self, quantile: float, deviations: float = DEVIATIONS) -> tuple[float, float]:
        """Return between which seconds this quantile lies; 0 and infinity where too few statements tell.

        Whatever they are, tiles of 2 ms or reports of 3 s: how many of them lie below a quantile is binomial.
        """
        count = len(self._ordered)
        if not count:
            return 0.0, math.inf
        middle, band = count * quantile, deviations * math.sqrt(count * quantile * (1 - quantile))
        low, high = math.floor(middle - band), math.ceil(middle + band) - 1
        return self._ordered[low] if 0 <= low < count else 0.0, self._ordered[high] if 0 <= high < count else math.inf

    def judge(self, *, is_slow: bool) -> None:
        """Take what the last round says, and believe it once enough rounds in a row do."""
        if not (self.is_slow and self._silent):
            self._contrary = self._contrary + 1 if is_slow != self.is_slow else 0
        needed = ROUNDS_TO_COME_BACK if self.is_slow else ROUNDS_TO_BE_SLOW
        if self._contrary >= needed or (self.is_slow and self._silent >= FORGET_ROUNDS):
            self.is_slow, self._contrary, self._silent = not self.is_slow, 0, 0
            self._rounds.clear()


class Comparison:
    """The times of nodes. Those of one pool are comparable, since chance sends a read to one of them."""

    def __init__(self, config: SlowConfig) -> None:
        """Remember nothing yet."""
        self._config = config
        self.times: dict[str, Times] = {}

    def judge(self, took: Mapping[str, Collection[float]]) -> list[str]:
        """Take the seconds of a round on each node of a pool; return the nodes that are slow.

        Never more than half of them; none where all are equally slow.
        """
        pool = {node: self.times.setdefault(node, Times()) for node in took}
        for node, times in pool.items():
            times.take(took[node])
        excess = self._excess(pool)
        # Those that are slow already first, so that two do not take turns.
        ranked = sorted(pool, key=lambda node: (pool[node].is_slow, excess[node]), reverse=True)
        for rank, node in enumerate(ranked):
            pool[node].judge(is_slow=excess[node] > 1 and rank < len(pool) // 2)
        return [node for node in ranked if pool[node].is_slow]

    def keep(self, nodes: Collection[str]) -> None:
        """Forget all others."""
        self.times = {node: times for node, times in self.times.items() if node in nodes}

    def _excess(self, pool: Mapping[str, Times]) -> dict[str, float]:
        """Return how many times the limit each node's times are: above 1 it is slow."""
        sure = DEVIATIONS + math.log10(max(len(pool), 2) / 2) / 2
        bounds = [{node: times.bounds(each, sure) for node, times in pool.items()} for each in QUANTILES]
        # One that has just become as slow is no measure, though most of what is remembered of it is fast.
        limits = [self._limit(min(max(found[node][1], pool[node].latest) for node in pool)) for found in bounds]
        known = (times.typical for times in pool.values() if not times.is_slow and times.typical is not None)
        back = BACK * self._limit(min(known, default=0.0))
        return {
            node: (times.typical or 0.0) / back
            if times.is_slow
            else max(found[node][0] / limit for found, limit in zip(bounds, limits, strict=True))
            for node, times in pool.items()
        }

    def _limit(self, best: float) -> float:
        return max(self._config.floor, self._config.factor * best) or math.inf


class Latency:
    """How long the nodes of one cluster take to answer this process: its statements, and the probes beside them."""

    def __init__(self, config: SlowConfig | None, sockets: NodeSockets) -> None:
        """Take when a node is slow, None: never; and who notes the statements."""
        config = config or SlowConfig(floor=math.inf)
        self._sockets = sockets
        self._statements, self._probes = Comparison(config), Comparison(config)
        self._probed: dict[str, Collection[float]] = {}
        self._rounds = self._reads = 0
        # By slow node the round and the read in which it was tried last.
        self._tried: dict[str, tuple[int, int]] = {}

    def probed(self, node: str, seconds: float) -> None:
        """Take it that a probe was answered: under an ENGINE that notes no statements it stands in for them."""
        self._probed[node] = (seconds,)

    def judge(self, pools: Sequence[Collection[str]]) -> Iterator[tuple[str, float | None, bool]]:
        """Yield, once a round, of each node of each pool its typical seconds and whether it is slow."""
        self._rounds += 1
        for pool in pools:
            by_statements = self._statements.judge({node: self._took(node) for node in pool})
            by_probes = self._probes.judge({node: self._probed.get(node, ()) for node in pool})
            slow = [*dict.fromkeys([*by_statements, *by_probes])][: len(pool) // 2]
            for node in pool:
                known = (comparison.times[node].typical or 0.0 for comparison in (self._statements, self._probes))
                yield node, max(known) or None, node in slow
        self._probed.clear()
        for comparison in (self._statements, self._probes):
            comparison.keep(set(chain.from_iterable(pools)))

    def to_try(self, slow: Sequence[str], busy: Callable[[str], int]) -> str | None:
        """Return the slow node that gets the next read, so that its recovery is seen; None: it goes elsewhere."""
        self._reads += 1
        for node in slow:
            tried_in, tried_by = self._tried.setdefault(node, (self._rounds, self._reads))
            times = self._statements.times.get(node)
            # A trial holds a thread for as long as the node is slow: where many read it is the rounds that bound it.
            is_busy = self._reads - tried_by >= READS_A_TRIAL * len(slow)
            rounds = BUSY_ROUNDS_A_TRIAL if is_busy else ROUNDS_A_TRIAL
            if self._rounds - tried_in >= (1 if times and times.is_hopeful else rounds) and not busy(node):
                self._tried[node] = (self._rounds, self._reads)
                return node
        return None

    def _took(self, node: str) -> Collection[float]:
        traffic, times = self._sockets.traffic(node), self._statements.times.get(node)
        took = traffic.take()
        if times is None:
            # What was measured before it was out says nothing of what it is.
            return ()
        ages = [age for age in traffic.ages() if age > (times.typical or 0.0)]
        return evidence(took, ages, 1 if times.is_slow else HANGING)


def evidence(took: Collection[float], ages: Collection[float], least: int = HANGING) -> Collection[float]:
    """Return what tells of a node after a round: what its statements took, or else how long `least` have waited.

    What waits beside others that are answered is a long report; to count it in each round would accuse its node.
    """
    return took or (ages if len(ages) >= least else ())
