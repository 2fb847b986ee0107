"""What has this site configured? GMF_ROUTER, parsed once, and anew when it changes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from django_gmf_router.settings.kinds import Problem
from django_gmf_router.settings.problems import found_in
from django_gmf_router.settings.sections import SchemasConfig
from django_gmf_router.settings.values import ClusterConfig, parse

SETTING = "GMF_ROUTER"


def problems() -> Iterator[Problem]:
    """Yield every problem of GMF_ROUTER; none where it is absent."""
    return found_in(getattr(settings, SETTING, {}), settings.DATABASES)


@lru_cache(maxsize=1)
def entries() -> tuple[ClusterConfig, ...]:
    """Return every entry of GMF_ROUTER, those without replicas too.

    Raise ImproperlyConfigured with the first problem that `manage.py check` would report.
    """
    for problem in problems():
        raise ImproperlyConfigured(f"{problem.message} {problem.hint} ({problem.id})")
    return tuple(parse(primary, entry) for primary, entry in getattr(settings, SETTING, {}).items())


@lru_cache(maxsize=1)
def clusters() -> tuple[ClusterConfig, ...]:
    """Return the clusters that route: with replicas, or in a DRY_RUN. Raise what `entries` does."""
    return tuple(cluster for cluster in entries() if cluster.replicas or cluster.dry_run)


def cluster_of_app(app_label: str) -> ClusterConfig | None:
    """Return the cluster that holds the models of an app: that which names it, or else that which holds all others."""
    named = (cluster for cluster in clusters() if app_label in (cluster.apps or ()))
    return next(named, next((cluster for cluster in clusters() if cluster.apps is None), None))


# Asked for each new connection.
@lru_cache(maxsize=32)
def schemas_of(alias: str) -> SchemasConfig | None:
    """Return the schemas of the cluster that `alias` belongs to, None where it has none. Raise what `entries` does."""
    return next((entry.schemas for entry in entries() if alias in entry.aliases), None)


def has_pool(name: str) -> bool:
    """Return whether a replica serves the pool `name`, or none any: where one develops there may be no pools."""
    pools = {replica.pool for cluster in clusters() for replica in cluster.replicas} - {None}
    return not pools or name in pools


def names_schemas() -> bool:
    """Return whether an entry has SCHEMAS; False where GMF_ROUTER is wrong: then no connection is opened."""
    try:
        return any(entry.schemas for entry in entries())
    except ImproperlyConfigured:
        return False


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: Any) -> None:  # noqa: ARG001
    if setting in {SETTING, "DATABASES"}:
        entries.cache_clear()
        clusters.cache_clear()
        schemas_of.cache_clear()
