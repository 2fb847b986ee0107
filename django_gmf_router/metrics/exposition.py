"""What is counted, and how does it become Prometheus' text? With prometheus-client, the extra `prometheus`.

Several processes add up what they count in the folder of its multi-process mode.
"""

from __future__ import annotations

import atexit
import collections
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from django.core.signals import request_finished
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from django_gmf_router import clusters
from django_gmf_router.clusters import Cluster
from django_gmf_router.metrics import MULTIPROCESS
from django_gmf_router.postgres.tallies import Tally
from django_gmf_router.routing.reads import unit_ended
from django_gmf_router.settings.values import Role

PREFIX = "gmf_router_"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A name and the labels of its samples."""

    name: str
    """Without `_total`, which a counter gets as it is printed."""
    labels: tuple[str, ...]
    text: str


def _metric(name: str, labels: str, text: str) -> Metric:
    return Metric(name=f"{PREFIX}{name}", labels=tuple(labels.split()), text=text)


DECISIONS = _metric(
    "decisions",
    "cluster role alias reason",
    "Decisions: one for each request or job, and one more whenever that of its last read is another.",
)
VIEW_READS = _metric("view_reads", "view role", "Queries, by the route of the view and the role of the node.")
PRIMARY_READS = _metric("view_primary_reads", "view reason", "Queries on the primary, by the route and the reason.")
MOVES = _metric("moves", "cluster node cause", "Connections that went over from this node to another one.")
TOKENS = _metric("tokens", "cluster outcome", "Tokens of clients, by what became of them.")
REFUSED_WRITES = _metric("refused_writes", "cluster", "Requests answered 503 since the primary does not answer.")
REFUSED_READS = _metric("refused_reads", "cluster", "Requests answered 503 since SPILL leaves no room for them.")
COUNTERS = (DECISIONS, VIEW_READS, PRIMARY_READS, MOVES, TOKENS, REFUSED_WRITES, REFUSED_READS)

NODE_UP = _metric("node_up", "cluster node", "1, or 0 where the node is down.")
NODE_LAG = _metric("node_lag_seconds", "cluster node", "Seconds that a replica is behind; missing where unknown.")
GAUGES = (NODE_UP, NODE_LAG)

Labels: TypeAlias = "tuple[str, ...]"
Counts: TypeAlias = "collections.Counter[tuple[Metric, Labels]]"
Samples: TypeAlias = "Iterator[tuple[Metric, Labels, int]]"


def counts() -> Counts:
    """Return all that this process has counted."""
    return _counted(new=False)


def take() -> Counts:
    """Return what this process has counted since this was last asked: for the one who adds it up elsewhere."""
    return _counted(new=True)


def _counted(*, new: bool) -> Counts:
    found: Counts = collections.Counter()
    known = clusters.registry().clusters
    for cluster in known:
        for metric, labels, times in _of_cluster(cluster, new=new):
            found[metric, labels] += times
    # Clusters that keep their tokens alike share a store.
    for store, primary in {cluster.store: cluster.config.primary for cluster in reversed(known)}.items():
        for outcome, times in _told(store.refused, new=new).items():
            found[TOKENS, (primary, outcome)] += times
    return found


def _of_cluster(cluster: Cluster, *, new: bool) -> Samples:
    primary = cluster.config.primary
    for decision, times in _told(cluster.policy.decisions, new=new).items():
        yield DECISIONS, (primary, decision.role.value, decision.alias, decision.reason), times
    for read, times in _told(cluster.reads.views, new=new).items():
        yield VIEW_READS, (read.view, (Role.PRIMARY if read.reason else Role.REPLICA).value), times
        if read.reason:
            yield PRIMARY_READS, (read.view, read.reason), times
    for (node, cause), times in _told(cluster.nodes.moves, new=new).items():
        yield MOVES, (primary, node, cause), times
    for outcome, times in _told(cluster.policy.tokens, new=new).items():
        yield TOKENS, (primary, outcome), times
    refused = _told(cluster.refusals, new=new)
    # Also while there were none: an alert on what is not there never comes.
    yield REFUSED_WRITES, (primary,), refused.get("write", 0)
    yield REFUSED_READS, (primary,), refused.get("read", 0)


def _told(tally: Tally[T], *, new: bool) -> Mapping[T, int]:
    return tally.take() if new else tally.counts()


def gauges() -> Iterator[tuple[Metric, Labels, float]]:
    """Yield how the nodes are, as this process sees them; one that nobody has asked yet is waited for."""
    for cluster in clusters.registry().clusters:
        primary, replicas = cluster.config.primary, cluster.config.replica_aliases
        if not cluster.pool.is_mirrored():
            cluster.monitor.ensure()
            for alias in (primary, *replicas):
                cluster.monitor.get_to_know(alias)
        for alias in (primary, *replicas):
            for node in cluster.monitor.members(alias) or (alias,):
                health = cluster.monitor.health(node)
                yield NODE_UP, (primary, node), float(not health.is_down)
                if health.lag is not None:
                    yield NODE_LAG, (primary, node), health.lag


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
    for (metric, labels), times in take().items():
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
        return _families(CounterMetricFamily, COUNTERS, [(*key, float(value)) for key, value in counts().items()])


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
        return _families(GaugeMetricFamily, GAUGES, list(gauges()))


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
