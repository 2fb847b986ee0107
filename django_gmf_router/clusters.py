"""How do the parts of this package come together? The only place that builds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import connections
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from django_gmf_router import unavailable
from django_gmf_router.clients import client_of
from django_gmf_router.consistency.keeper import Keeper
from django_gmf_router.exceptions import ReplicaMigrationRefused
from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.replicas.balancers import Stable, WeightedRandom
from django_gmf_router.replicas.freshness import Freshness
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.nodes import Nodes
from django_gmf_router.replicas.pool import ReplicaPool
from django_gmf_router.replicas.status import NodeStatus, statuses
from django_gmf_router.replicas.watching import address_book, monitor_of
from django_gmf_router.routing import guard, moves, outside
from django_gmf_router.routing.db_chooser import DbChooser
from django_gmf_router.routing.explain import Explanation, rules_that_hold
from django_gmf_router.routing.guard import WriteWatch
from django_gmf_router.routing.policy import Policy
from django_gmf_router.routing.primary_models import is_primary_model, labels_by_table
from django_gmf_router.routing.unit_of_work import UnitOfWork
from django_gmf_router.settings import configuration
from django_gmf_router.settings.values import ClusterConfig, ConsistencyConfig, Role

SESSIONS = "sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A configured cluster and the objects that serve it."""

    config: ClusterConfig
    policy: Policy
    pool: ReplicaPool
    keeper: Keeper
    freshness: Freshness
    nodes: Nodes
    monitor: Monitor
    writes: WriteWatch


Answer = Callable[[Any, Any], str | None]
"""What answers the alias for a model and an instance hint."""


READS: dict[Any, Answer] = {}
WRITES: dict[Any, Answer] = {}
"""What answers for each installed model, found when it is first asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The clusters of the site, by what they are looked up with."""

    clusters: tuple[Cluster, ...] = ()
    by_alias: dict[str, Cluster] = field(default_factory=dict)
    by_app: dict[str | None, Cluster] = field(default_factory=dict)
    described: tuple[Cluster, ...] = ()


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Return the clusters, built once from the settings; raises ImproperlyConfigured where these are wrong."""
    built = tuple(_build(config) for config in configuration.clusters())
    return Registry(
        clusters=built,
        by_alias={alias: cluster for cluster in built for alias in cluster.config.aliases},
        by_app={app: cluster for cluster in built for app in _apps(cluster)},
        described=tuple(cluster for cluster in built if cluster.config.debug_header),
    )


@lru_cache(maxsize=8)
def _keeper(config: ConsistencyConfig) -> Keeper:
    """Return what keeps tokens, one for all clusters that keep them alike: their marks share a token."""
    return Keeper(config)


def _build(config: ClusterConfig) -> Cluster:
    sockets, addresses = NodeSockets(), address_book(config)
    monitor = monitor_of(config, addresses, on_hang=sockets.shut)
    freshness = Freshness(
        primary=config.primary,
        monitor=monitor,
        connection=connections.__getitem__,
        balanced=config.balanced_aliases,
    )
    pool = ReplicaPool(
        primary=config.primary,
        replicas=config.replicas,
        balancer=Stable(WeightedRandom()) if config.balancer == "stable" else WeightedRandom(),
        monitor=monitor,
        freshness=freshness,
        window_seconds=_window_seconds(config),
    )
    keeper = _keeper(config.consistency)
    policy = Policy(
        primary=config.primary,
        aliases=config.aliases,
        chooser=DbChooser(read_methods=config.read_methods, master=config.master, slave=config.slave),
        pool=pool,
        outside=config.outside_requests,
        on_connection=guard_connection,
        client=partial(client_of, config, keeper),
        strong=config.consistency.level == "strong",
    )
    tables = lru_cache(maxsize=1)(partial(labels_by_table, config.primary_models))
    writes = WriteWatch(policy=policy, unexpected=config.unexpected_writes, tables=tables)
    nodes = Nodes(config, monitor, sockets, addresses)
    return Cluster(
        config=config,
        policy=policy,
        pool=pool,
        keeper=keeper,
        freshness=freshness,
        nodes=nodes,
        monitor=monitor,
        writes=writes,
    )


def _window_seconds(config: ClusterConfig) -> float:
    """Return how long a write whose position is not known keeps its client on the primary.

    Where replicas are known to lag by so much at most, no shorter than that.
    """
    window = config.consistency.window
    if connections[config.primary].vendor != "postgresql":
        return window
    return max(window, config.health.max_lag + 2 * config.health.interval)


def _apps(cluster: Cluster) -> Iterable[str | None]:
    return (None,) if cluster.config.apps is None else cluster.config.apps


def of_alias(alias: str | None) -> Cluster | None:
    """Return the cluster that `alias` belongs to."""
    return registry().by_alias.get(alias) if alias is not None else None


def of_app(app_label: str) -> Cluster | None:
    """Return the cluster that holds the models of an app."""
    by_app = registry().by_app
    return by_app.get(app_label) or by_app.get(None)


def is_replica(alias: str) -> bool:
    """Return whether `alias` is a replica of a cluster."""
    cluster = of_alias(alias)
    return cluster is not None and alias != cluster.config.primary


def read_of(model: Any) -> Answer:
    """Find what answers for reads of `model`."""
    cluster = of_app(model._meta.app_label)
    if cluster is None:
        return _keep(READS, model, _unrouted)
    is_primary = is_primary_model(cluster.config.primary_models, model)
    return _keep(READS, model, cluster.policy.read_primary_model if is_primary else cluster.policy.read)


def write_of(model: Any) -> Answer:
    """Find what answers for writes of `model`."""
    cluster = of_app(model._meta.app_label)
    return _keep(WRITES, model, _unrouted if cluster is None else cluster.policy.write)


def _keep(answers: dict[Any, Answer], model: Any, answer: Answer) -> Answer:
    # Stand-ins, which have nothing but `_meta`, and historical models come and go: a table that kept them would grow.
    if getattr(model._meta, "apps", None) is apps:
        answers[model] = answer
    return answer


def _unrouted(_model: Any, _instance: Any) -> None:
    """Leave a model of no cluster to Django and to the routers after ours."""


def may_migrate(alias: str, app_label: str) -> bool | None:
    """Return False for a replica and for a cluster's primary that does not hold the app; None leaves it to others."""
    try:
        cluster = of_alias(alias)
    except ImproperlyConfigured:
        # Django's model checks ask, beside our own checks, which report what is wrong.
        return None
    if cluster is None:
        return None
    if alias != cluster.config.primary or of_app(app_label) not in {None, cluster}:
        return False
    return None


def begin_migrate(alias: str) -> None:
    """Note that `migrate` runs; raises ReplicaMigrationRefused for a replica, before anything is recorded."""
    cluster = of_alias(alias)
    if cluster is not None and alias != cluster.config.primary:
        primary = cluster.config.primary
        raise ReplicaMigrationRefused(
            f"The alias {alias!r} is a replica of {primary!r}, from which it receives its migrations: run migrate "
            f"--database={primary} (in a test run, set DATABASES[{alias!r}]['TEST'] = {{'MIRROR': {primary!r}}})."
        )
    outside.begin_migrate()


def may_move(wrapper: Any, sql: Any) -> bool:
    """Return whether a statement of a connection wrapper that failed with its node may be repeated on another one."""
    cluster = of_alias(wrapper.alias)
    return cluster is not None and moves.may_move(cluster.policy, wrapper, sql)


def may_repeat(wrapper: Any, sql: Any) -> bool:
    """Return whether a statement that was not even begun may be executed on a new connection to the same node."""
    cluster = of_alias(wrapper.alias)
    return cluster is not None and moves.may_repeat(cluster.policy, wrapper, sql)


def sessions_in_database() -> bool:
    """Return whether sessions are kept in a database that has replicas."""
    return bool(registry().clusters) and settings.SESSION_ENGINE.endswith((".db", ".cached_db"))


def tolerate_unsaved_session(request: HttpRequest) -> None:
    """Let the session of a request that only reads stay unsaved while no primary answers."""
    session = getattr(request, "session", None)
    if session is None:
        return
    cluster = of_app(SESSIONS)
    if cluster is not None:
        unavailable.tolerate_unsaved(session, cluster.policy.only_reads)


def retry_after_seconds() -> float:
    """Return when a client may try again: the monitors will have seen a primary that is back by then."""
    return max(2 * cluster.config.health.interval for cluster in registry().clusters)


def watch(alias: str) -> WriteWatch | None:
    """Return who watches the writes of `alias`."""
    cluster = of_alias(alias)
    return None if cluster is None else cluster.writes


def guard_connection(connection: Any) -> None:
    """Guard the connection wrapper of an alias that belongs to a cluster."""
    guard.install(connection, watch)


def describe(unit: UnitOfWork, response: HttpResponseBase) -> None:
    """Add the debug headers of the clusters that ask for one: the decision of the last read, or of what forbids one."""
    for cluster in registry().described:
        decision = cluster.policy.last_decision(unit)
        if decision is not None:
            response.headers[str(cluster.config.debug_header)] = str(decision)


def explain(method: str, path: str, model: Any = None) -> Explanation:
    """Return why the first read of a request goes where it goes; without `model` one that is no primary model."""
    label = model._meta.label if model is not None else None
    cluster = of_app(model._meta.app_label) if model is not None else next(iter(registry().clusters), None)
    if cluster is None:
        return Explanation(method=method, path=path, model=label)
    config = cluster.config
    primary_model = label if model is not None and is_primary_model(config.primary_models, model) else None
    rules = rules_that_hold(cluster.policy.chooser, method=method, path=path, primary_model=primary_model)
    aliases = config.replica_aliases if rules[0].role == Role.REPLICA else (config.primary,)
    return Explanation(method=method, path=path, model=label, aliases=aliases, rules=tuple(rules))


def status() -> list[NodeStatus]:
    """Watch every node of every cluster for a moment."""
    return statuses(cluster.config for cluster in registry().clusters)


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: Any) -> None:  # noqa: ARG001
    if setting in {configuration.SETTING, "DATABASES", "INSTALLED_APPS", "CACHES"}:
        for cluster in registry().clusters if registry.cache_info().currsize else ():
            cluster.monitor.stop()
        registry.cache_clear()
        _keeper.cache_clear()
        READS.clear()
        WRITES.clear()
