"""How does a cluster come out of its settings, and which one does an alias or an app belong to?"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver

from django_gmf_router.consistency.stores import STORES, Store
from django_gmf_router.postgres import concurrency
from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.postgres.tallies import Tally
from django_gmf_router.replicas.addresses import address_book
from django_gmf_router.replicas.freshness import Freshness
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.nodes import Nodes
from django_gmf_router.replicas.pool import ReplicaPool
from django_gmf_router.routing.policy import Policy
from django_gmf_router.routing.reads import ReadWatch
from django_gmf_router.routing.rehearsal import Rehearsal
from django_gmf_router.routing.writes import WriteWatch
from django_gmf_router.settings import configuration
from django_gmf_router.settings.sections import ConsistencyConfig
from django_gmf_router.settings.values import ClusterConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cluster:
    """A configured cluster and the objects that serve it."""

    config: ClusterConfig
    policy: Policy
    """WHAT a read may use."""
    pool: ReplicaPool
    """WHICH replica serves it."""
    monitor: Monitor
    nodes: Nodes
    """What the connection edge asks about them."""
    store: Store
    """Where its clients' tokens are kept."""
    writes: WriteWatch
    reads: ReadWatch
    refusals: Tally[str]
    """The requests that were answered 503: to a "write", or to a "read" beyond SPILL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The clusters of the site, by what they are looked up with."""

    clusters: tuple[Cluster, ...] = ()
    by_alias: dict[str, Cluster] = field(default_factory=dict)
    by_app: dict[str | None, Cluster] = field(default_factory=dict)
    described: tuple[Cluster, ...] = ()
    """Those with a DEBUG_HEADER."""


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Return the clusters, built once from the settings.

    Raise ImproperlyConfigured where these are wrong, or a driver blocks the green threads of this process.
    """
    built = tuple(map(_build, configuration.clusters()))
    return Registry(
        clusters=built,
        by_alias={alias: cluster for cluster in built for alias in cluster.config.aliases},
        by_app={app: cluster for cluster in built for app in cluster.config.apps_or_rest},
        described=tuple(cluster for cluster in built if cluster.config.debug_header),
    )


@lru_cache(maxsize=8)
def _store(config: ConsistencyConfig) -> Store:
    """Return where tokens are kept, one for all clusters that keep them alike: their marks share a token."""
    return STORES[config.store](config)


def _build(config: ClusterConfig) -> Cluster:
    concurrency.refuse_blocking(config.primary)
    sockets, addresses, store = NodeSockets(), address_book(config), _store(config.consistency)
    monitor = Monitor(config, addresses, sockets)
    pool = ReplicaPool(config, monitor, Freshness(config, monitor))
    policy = Policy(config, pool, store)
    return Cluster(
        config=config,
        policy=policy,
        pool=pool,
        monitor=monitor,
        nodes=Nodes(config, monitor, sockets, addresses),
        store=store,
        writes=(Rehearsal if config.dry_run else WriteWatch)(config, policy),
        reads=ReadWatch(config, policy),
        refusals=Tally(),
    )


def of_alias(alias: str | None) -> Cluster | None:
    """Return the cluster that `alias` belongs to."""
    return registry().by_alias.get(alias) if alias is not None else None


def of_replica(alias: str) -> Cluster | None:
    """Return the cluster of which `alias` is a replica."""
    cluster = of_alias(alias)
    return None if cluster is None or alias == cluster.config.primary else cluster


def of_app(app_label: str) -> Cluster | None:
    """Return the cluster that holds the models of an app."""
    by_app = registry().by_app
    return by_app.get(app_label) or by_app.get(None)


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: Any) -> None:  # noqa: ARG001
    # Tests change settings: what was built from them is built anew when it is next asked for.
    if setting in {configuration.SETTING, "DATABASES", "INSTALLED_APPS", "CACHES"} and registry.cache_info().currsize:
        for cluster in registry().clusters:
            cluster.monitor.stop()
        registry.cache_clear()
        _store.cache_clear()
