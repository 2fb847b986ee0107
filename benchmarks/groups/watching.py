"""What does a process that does nothing pay to watch 2, 20, 100 nodes? Processor time, and how often it wakes up."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.contestants import Contestant
from django_gmf_router.testing import LocalCluster

ROUNDS = 3
"""Each takes seconds: neither warmed up nor repeated until it is long enough."""
NODES = (2, 20, 100)
SECONDS = 5.0
LONGEST_SECONDS = 60.0
DATABASES: dict[str, Any] = {"default": {}}
SETTINGS = {"DATABASES": DATABASES, "INSTALLED_APPS": ["django_gmf_router"], "GMF_ROUTER": {}}


def measure(take: Callable[[list[Contestant]], Any]) -> None:
    """Measure on one primary and one replica, which stands behind all the replicas' aliases."""
    with LocalCluster(1) as cluster:
        found = cluster.databases()
        DATABASES["default"] = found["default"]
        DATABASES.update({f"replica_{number}": found["replica_1"] for number in range(1, max(NODES))})
        take(list(_contestants()))


def _contestants() -> Iterator[Contestant]:
    yield Contestant(name="nothing", run=lambda _loops: _cost()[0])
    yield Contestant(name="nothing, wake-ups", run=lambda _loops: _cost()[1])
    for nodes in NODES:
        yield Contestant(name=f"{nodes} nodes", run=lambda _loops, nodes=nodes: _watch(nodes)[0])
        yield Contestant(name=f"{nodes} nodes, wake-ups", run=lambda _loops, nodes=nodes: _watch(nodes)[1])


def _watch(nodes: int) -> tuple[float, float]:
    from django_gmf_router.replicas.monitor import Monitor  # noqa: PLC0415  settings first
    from django_gmf_router.settings.values import parse  # noqa: PLC0415

    replicas = [f"replica_{number}" for number in range(1, nodes)]
    health = {"INTERVAL": 1.0, "TIMEOUT": LONGEST_SECONDS}
    monitor = Monitor(parse("default", {"REPLICAS": replicas, "HEALTH": health}))
    monitor.ensure()
    try:
        if not monitor.wait(2, LONGEST_SECONDS):
            raise AssertionError("Not every node has answered twice.")
        return _cost()
    finally:
        monitor.stop()


def _cost() -> tuple[float, float]:
    """Return the processor's seconds in each second, and how often the threads of this process waited in it."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    time.sleep(SECONDS)
    after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used / seconds, (after.ru_nvcsw - before.ru_nvcsw) / seconds
