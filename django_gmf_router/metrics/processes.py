"""How do several processes add up what they count? In the folder of prometheus-client's multi-process mode."""

from __future__ import annotations

import atexit
from functools import lru_cache
from typing import Any

from django.core.signals import request_finished
from prometheus_client import CollectorRegistry, Counter

from django_gmf_router import clusters
from django_gmf_router.metrics import counted
from django_gmf_router.metrics.counted import COUNTERS, Metric
from django_gmf_router.routing.reads import unit_ended


def install() -> None:
    """Tell at the end of each request and job, and of this process."""
    unit_ended.connect(_on_end, dispatch_uid="gmf_router.processes")
    # Of requests that never came to a statement, as those that no primary answered.
    request_finished.connect(_on_end, dispatch_uid="gmf_router.processes")
    atexit.register(tell)


def tell() -> None:
    """Add what was counted since the last time to the file of this process."""
    # To build the clusters, of settings that may be wrong, is not the business of a command that ends.
    if not clusters.registry.cache_info().currsize:
        return
    for (metric, labels), times in counted.take().items():
        # To ask for it writes it, as 0.
        child = _counters()[metric].labels(*labels)
        if times:
            child.inc(times)


@lru_cache(maxsize=1)
def _counters() -> dict[Metric, Counter]:
    # A registry of their own: they are shown by what reads the files of all processes.
    registry = CollectorRegistry()
    return {metric: Counter(metric.name, metric.text, metric.labels, registry=registry) for metric in COUNTERS}


def _on_end(**kwargs: Any) -> None:  # noqa: ARG001
    tell()
