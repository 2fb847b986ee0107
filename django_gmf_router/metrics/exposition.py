"""How do the counts become Prometheus' text? With prometheus-client, the extra `prometheus`.

Several processes add up what they count in the folder of its multi-process mode.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from django.core.signals import request_finished
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from django_gmf_router import clusters
from django_gmf_router.metrics import MULTIPROCESS, counted
from django_gmf_router.metrics.counted import COUNTERS, GAUGES, PREFIX, Labels, Metric
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


class OfThisProcess(Collector):
    """What this process has counted."""

    def collect(self) -> Iterable[Family]:
        """Return a family for each counter."""
        return _families(
            CounterMetricFamily, COUNTERS, [(*key, float(value)) for key, value in counted.counts().items()]
        )


class OfAllProcesses(Collector):
    """What the processes of this site have counted, those that have ended too."""

    def collect(self) -> Iterator[Family]:
        """Yield our families of those that the folder holds."""
        tell()
        for family in MultiProcessCollector(CollectorRegistry()).collect():
            if family.name.startswith(PREFIX):
                yield family


class Nodes(Collector):
    """How the nodes are: each process watches them all, so this one tells it for the others."""

    def collect(self) -> Iterable[Family]:
        """Return a family for each gauge."""
        return _families(GaugeMetricFamily, GAUGES, list(counted.gauges()))


def text_for(accepted: str) -> tuple[bytes, str]:
    """Return all metrics in the format that an Accept header asks for, and its content type.

    Raise ValueError where the folder of the processes does not exist.
    """
    registry = CollectorRegistry()
    registry.register(OfAllProcesses() if MULTIPROCESS in os.environ else OfThisProcess())
    registry.register(Nodes())
    encode, content_type = choose_encoder(accepted)
    return encode(registry), content_type


def _families(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    metrics: Iterable[Metric],
    samples: list[tuple[Metric, Labels, float]],
) -> list[Family]:
    families = {metric: kind(metric.name, metric.text, labels=metric.labels) for metric in metrics}
    for metric, labels, value in samples:
        families[metric].add_metric(labels, value)
    return list(families.values())
