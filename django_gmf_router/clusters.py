"""How do the parts of this package come together? The only place that builds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.http.response import HttpResponseBase

from django_gmf_router import conf
from django_gmf_router.conf import ClusterConfig
from django_gmf_router.exceptions import ReplicaMigrationRefused
from django_gmf_router.replicas.balancers import WeightedRandom
from django_gmf_router.replicas.pool import ReplicaPool
from django_gmf_router.routing import guard, outside
from django_gmf_router.routing.db_chooser import DbChooser
from django_gmf_router.routing.guard import WriteWatch
from django_gmf_router.routing.policy import Policy
from django_gmf_router.routing.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A configured cluster and the objects that serve it."""

    config: ClusterConfig
    policy: Policy
    pool: ReplicaPool
    writes: WriteWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How reads and writes of one model are routed: what answers the alias for a model and an instance."""

    read: Callable[[Any, Any], str | None]
    write: Callable[[Any, Any], str | None]


def unrouted(_model: Any, _instance: Any) -> None:
    """Leave a model of no cluster to Django and to the routers after ours."""


NO_ROUTE = Route(read=unrouted, write=unrouted)
ROUTES: dict[Any, Route] = {}
"""The routes of the installed models, filled as they are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The clusters of the site, by what they are looked up with."""

    clusters: tuple[Cluster, ...] = ()
    by_alias: dict[str, Cluster] = field(default_factory=dict)
    by_app: dict[str | None, Cluster] = field(default_factory=dict)
    described: tuple[Cluster, ...] = ()


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Answer the clusters, built once from the settings; raises ImproperlyConfigured where these are wrong."""
    built = tuple(_build(config) for config in conf.clusters())
    return Registry(
        clusters=built,
        by_alias={alias: cluster for cluster in built for alias in cluster.config.aliases},
        by_app={app: cluster for cluster in built for app in cluster.config.apps or (None,)},
        described=tuple(cluster for cluster in built if cluster.config.debug_header),
    )


def _build(config: ClusterConfig) -> Cluster:
    pool = ReplicaPool(primary=config.primary, replicas=config.replicas, balancer=WeightedRandom())
    policy = Policy(
        primary=config.primary,
        aliases=config.aliases,
        chooser=DbChooser(read_methods=config.read_methods, master=config.master, slave=config.slave),
        pool=pool,
        outside=config.outside_requests,
        on_connection=guard_connection,
    )
    tables = lru_cache(maxsize=1)(partial(_tables, config))
    writes = WriteWatch(policy=policy, unexpected=config.unexpected_writes, tables=tables)
    return Cluster(config=config, policy=policy, pool=pool, writes=writes)


def of_alias(alias: str | None) -> Cluster | None:
    """Answer the cluster that `alias` belongs to."""
    return registry().by_alias.get(alias) if alias is not None else None


def of_app(app_label: str) -> Cluster | None:
    """Answer the cluster that holds the models of an app."""
    by_app = registry().by_app
    return by_app.get(app_label) or by_app.get(None)


def is_replica(alias: str) -> bool:
    """Answer whether `alias` is a replica of a cluster."""
    cluster = of_alias(alias)
    return cluster is not None and alias != cluster.config.primary


def route(model: Any) -> Route:
    """Answer the route of `model`, which may be a historical model or a stand-in that has nothing but `_meta`."""
    cluster = of_app(model._meta.app_label)
    found = NO_ROUTE
    if cluster is not None:
        policy = cluster.policy
        read = policy.read_primary_model if _is_primary_model(cluster.config, model) else policy.read
        found = Route(read=read, write=policy.write)
    # Stand-ins and historical models come and go, and a table that keeps them would grow.
    if getattr(model._meta, "apps", None) is apps:
        ROUTES[model] = found
    return found


def may_migrate(alias: str, app_label: str) -> bool | None:
    """Answer False for a replica and for a cluster's primary that does not hold the app; None leaves it to others."""
    cluster = of_alias(alias)
    if cluster is None:
        return None
    if alias != cluster.config.primary or of_app(app_label) not in {None, cluster}:
        return False
    return None


def begin_migrate(alias: str) -> None:
    """Note that `migrate` runs; raises ReplicaMigrationRefused for a replica, before anything is recorded as applied."""
    cluster = of_alias(alias)
    if cluster is not None and alias != cluster.config.primary:
        primary = cluster.config.primary
        raise ReplicaMigrationRefused(
            f"The alias {alias!r} is a replica of {primary!r} and receives its migrations: run migrate --database={primary}"
            f" (in a test run, set DATABASES[{alias!r}]['TEST'] = {{'MIRROR': {primary!r}}})."
        )
    outside.begin_migrate()


def watch(alias: str) -> WriteWatch | None:
    """Answer who watches the writes of `alias`."""
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


def _is_primary_model(config: ClusterConfig, model: Any) -> bool:
    concrete = getattr(model._meta, "concrete_model", None) or model
    names = {f"{meta.app_label}.{meta.object_name}".lower() for meta in (model._meta, concrete._meta)}
    names |= {f"{name.partition('.')[0]}.*" for name in names}
    if names & {label.lower() for label in config.primary_models}:
        return True
    return "sessions.*" in config.primary_models and _is_session(model)


def _is_session(model: Any) -> bool:
    # Imported here, since importing a model needs the app registry; it needs no django.contrib.sessions installed.
    from django.contrib.sessions.base_session import AbstractBaseSession  # noqa: PLC0415

    return isinstance(model, type) and issubclass(model, AbstractBaseSession)


def _tables(config: ClusterConfig) -> dict[str, tuple[str, bool]]:
    tables = {
        model._meta.db_table.strip('"'): (model._meta.label, _is_primary_model(config, model))
        for model in apps.get_models(include_auto_created=True)
    }
    if "django_cache.*" in config.primary_models:
        caches = (cache for cache in settings.CACHES.values() if cache["BACKEND"].endswith(".DatabaseCache"))
        tables.update({cache["LOCATION"]: ("django_cache.CacheEntry", True) for cache in caches})
    return tables


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: Any) -> None:  # noqa: ARG001
    if setting in {conf.SETTING, "DATABASES", "INSTALLED_APPS", "CACHES"}:
        registry.cache_clear()
        ROUTES.clear()
