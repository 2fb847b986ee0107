"""How do the counts become Prometheus' text? With prometheus-client, the extra `prometheus`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from django_gmf_router.metrics import MULTIPROCESS, counted, processes
from django_gmf_router.metrics.counted import COUNTERS, GAUGES, PREFIX, Labels, Metric


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
        processes.tell()
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
