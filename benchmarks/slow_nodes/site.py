"""What does a process of a site measure, second by second? Threads that read from nodes, as discrete events."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from django_gmf_router.replicas.latency import evidence
from django_gmf_router.replicas.pool import with_room

Draw = Callable[[random.Random], float]
THREADS = 8


def _mix(share: float, fast: float, slow: float) -> Draw:
    return lambda source: source.lognormvariate(0.0, 0.3) * (fast if source.random() < share else slow)


DISTRIBUTIONS: dict[str, Draw] = {
    "constant": lambda _: 0.005,
    "lognormal": lambda source: 0.005 * source.lognormvariate(0.0, 1.0),
    "lognormal reports": lambda source: 0.3 * source.lognormvariate(0.0, 1.0),
    "tiles 90 %, reports 10 %": _mix(0.9, 0.002, 3.0),
    "tiles 50 %, queries 50 %": _mix(0.5, 0.002, 0.3),
    "heavy tail": lambda source: min(30.0, 0.005 * source.paretovariate(1.1)),
}
"""The seconds of a statement on a healthy node."""
SLOWNESS: dict[str, Callable[[float, random.Random], float]] = {
    "0.3 s more": lambda seconds, _: seconds + 0.3,
    "10 times": lambda seconds, _: seconds * 10,
    "0.3 s more, every third": lambda seconds, source: seconds + (0.3 if source.random() < 1 / 3 else 0.0),
}
"""What becomes of it on a slow one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One process of a site."""

    draw: Draw
    nodes: int
    rate: float
    """Reads per second that it would like to make."""


def rounds(
    shape: Shape, source: random.Random, slow: Callable[[float, random.Random], float] | None = None, since: float = 0.0
) -> Iterator[tuple[float, dict[str, Collection[float]]]]:
    """Yield each second, and what the statements took on each node since the last one; `slow`: the first, since then.

    Where nothing was answered, how long several have waited.
    """
    nodes = [f"node {number}" for number in range(shape.nodes)]
    busy: dict[str, dict[int, float]] = {node: {} for node in nodes}
    took: dict[str, list[float]] = {node: [] for node in nodes}
    pause = THREADS / shape.rate
    # (when, thread, on which node it reads; "" while it pauses)
    events = [(source.random() * pause, thread, "") for thread in range(THREADS)]
    heapq.heapify(events)
    judged = 1.0
    while True:
        now, thread, node = heapq.heappop(events)
        while now >= judged:
            waits = {name: [judged - began for began in busy[name].values()] for name in nodes}
            yield judged, {name: evidence(took[name], waits[name]) for name in nodes}
            took = {name: [] for name in nodes}
            judged += 1.0
        if node:
            took[node].append(now - busy[node].pop(thread))
            heapq.heappush(events, (now + source.expovariate(1 / pause), thread, ""))
            continue
        weights = [(name, 1.0) for name in nodes]
        node, _ = source.choice(with_room(weights, lambda name: len(busy[name])))
        seconds = shape.draw(source)
        if slow is not None and node == nodes[0] and now >= since:
            seconds = slow(seconds, source)
        busy[node][thread] = now
        heapq.heappush(events, (now + seconds, thread, node))
