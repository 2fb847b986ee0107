"""How slow is a node, by the times of its statements? The package's own answer, and those that it was chosen from.

Each takes the seconds of a round on each node of a pool, and returns the nodes that are slow.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from django_gmf_router.replicas.latency import ENOUGH, ROUNDS_TO_BE_SLOW, Comparison
from django_gmf_router.settings.sections import SlowConfig

CONFIG = SlowConfig()
WINDOW = 32
MARKERS = 5
Judge = Callable[[Mapping[str, Collection[float]]], Collection[str]]


class Estimate(Protocol):
    """One number of the times of one node."""

    def take(self, took: Collection[float]) -> None:
        """Take the seconds of a round."""

    def value(self) -> float:
        """Return the estimate, in seconds."""


class Mean:
    """The exponentially weighted mean."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._mean: float | None = None

    def take(self, took: Collection[float]) -> None:
        """Take the seconds of a round."""
        for seconds in took:
            self._mean = seconds if self._mean is None else self._mean + 0.1 * (seconds - self._mean)

    def value(self) -> float:
        """Return the mean."""
        return self._mean or 0.0


class Quantile:
    """A quantile of the newest times."""

    def __init__(self, quantile: float) -> None:
        """Take which."""
        self._quantile = quantile
        self._newest: deque[float] = deque(maxlen=WINDOW)

    def take(self, took: Collection[float]) -> None:
        """Take the seconds of a round."""
        self._newest.extend(took)

    def value(self) -> float:
        """Return the quantile."""
        return sorted(self._newest)[int(len(self._newest) * self._quantile)]


class Histogram:
    """The median of a histogram of powers of 1.5, whose counts are halved every five rounds."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._counts: dict[int, float] = {}

    def take(self, took: Collection[float]) -> None:
        """Take the seconds of a round."""
        self._counts = {bucket: count * 0.87 for bucket, count in self._counts.items()}
        for seconds in took:
            bucket = math.floor(math.log(seconds, 1.5))
            self._counts[bucket] = self._counts.get(bucket, 0.0) + 1

    def value(self) -> float:
        """Return the upper end of the bucket in the middle."""
        left = sum(self._counts.values()) / 2
        for bucket in sorted(self._counts):
            left -= self._counts[bucket]
            if left <= 0:
                break
        return float(1.5 ** (bucket + 1))


class PSquare:
    """The median by the P2 algorithm (Jain and Chlamtac, 1985): five markers, begun anew every ten rounds."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._heights: list[float] = []
        self._rounds = 0
        self._last = 0.0

    def take(self, took: Collection[float]) -> None:
        """Take the seconds of a round."""
        self._rounds += 1
        if self._rounds % 10 == 0 and len(self._heights) == MARKERS:
            self._last, self._heights = self._heights[2], []
        for seconds in took:
            self._add(seconds)

    def _add(self, seconds: float) -> None:
        heights = self._heights
        if len(heights) < MARKERS:
            heights.append(seconds)
            heights.sort()
            self._at, self._count = [0.0, 1.0, 2.0, 3.0, 4.0], MARKERS
            return
        heights[0], heights[4] = min(heights[0], seconds), max(heights[4], seconds)
        cell = next(index for index in range(4) if seconds <= heights[index + 1])
        for index in range(cell + 1, 5):
            self._at[index] += 1
        self._count += 1
        for index, part in ((1, 0.25), (2, 0.5), (3, 0.75)):
            self._adjust(index, part * (self._count - 1) - self._at[index])

    def _adjust(self, index: int, off: float) -> None:
        at, heights = self._at, self._heights
        step = (
            1
            if off >= 1 and at[index + 1] - at[index] > 1
            else -1
            if off <= -1 and at[index - 1] - at[index] < -1
            else 0
        )
        if not step:
            return
        above = (at[index] - at[index - 1] + step) * (heights[index + 1] - heights[index]) / (at[index + 1] - at[index])
        below = (at[index + 1] - at[index] - step) * (heights[index] - heights[index - 1]) / (at[index] - at[index - 1])
        found = heights[index] + step / (at[index + 1] - at[index - 1]) * (above + below)
        if not heights[index - 1] < found < heights[index + 1]:
            found = heights[index] + step * (heights[index + step] - heights[index]) / (at[index + step] - at[index])
        heights[index] = found
        at[index] += step

    def value(self) -> float:
        """Return the marker in the middle."""
        return self._heights[2] if len(self._heights) == MARKERS else self._last


class Plain:
    """A node is slow whose estimate is FACTOR times the lowest of its pool, and above FLOOR, in two rounds."""

    def __init__(self, make: Callable[[], Estimate]) -> None:
        """Take how the times of one node are told in a number."""
        self._make = make
        self._estimates: dict[str, Estimate] = {}
        self._counts: dict[str, int] = {}
        self._said: dict[str, int] = {}

    def __call__(self, took: Mapping[str, Collection[float]]) -> frozenset[str]:
        """Take a round."""
        for node, seconds in took.items():
            self._estimates.setdefault(node, self._make()).take(seconds)
            self._counts[node] = self._counts.get(node, 0) + len(seconds)
        found = {node: one.value() for node, one in self._estimates.items() if self._counts[node] >= ENOUGH}
        limit = max(CONFIG.floor, CONFIG.factor * min(found.values(), default=0.0))
        for node in took:
            self._said[node] = self._said.get(node, 0) + 1 if found.get(node, 0.0) > limit else 0
        return frozenset(node for node in took if self._said[node] >= ROUNDS_TO_BE_SLOW)


def ours() -> Judge:
    """Return the package's own."""
    return Comparison(CONFIG).judge


ESTIMATORS: dict[str, Callable[[], Judge]] = {
    "mean, weighted": lambda: Plain(Mean),
    "median of 32": lambda: Plain(lambda: Quantile(0.5)),
    "median by P2": lambda: Plain(PSquare),
    "lowest tenth of 32": lambda: Plain(lambda: Quantile(0.1)),
    "histogram's median": lambda: Plain(Histogram),
    "bounds of quantiles": ours,
}
