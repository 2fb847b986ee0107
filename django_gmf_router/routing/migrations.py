"""Which reads outside requests belong to a migration, and what must never be migrated?"""

from __future__ import annotations

from contextvars import ContextVar

from django.apps import AppConfig, apps
from django.db.models import Model

from django_gmf_router.exceptions import ReplicaMigrationRefused
from django_gmf_router.settings.values import ClusterConfig

_migrating: ContextVar[bool] = ContextVar("gmf_migrating", default=False)


def is_migrating() -> bool:
    """Return whether `migrate` runs in this context."""
    return _migrating.get()


def is_historical(model: type[Model]) -> bool:
    """Return whether `model` is one of a migration's state, as RunPython gets it, or a stand-in."""
    return getattr(model._meta, "apps", None) is not apps


def begin(alias: str, cluster: ClusterConfig | None) -> None:
    """Note that `migrate` has begun in this context; raise ReplicaMigrationRefused for a replica, before it records."""
    if cluster is not None and alias != cluster.primary:
        primary = cluster.primary
        raise ReplicaMigrationRefused(
            f"The alias {alias!r} is a replica of {primary!r}, from which it receives its migrations: run migrate "
            f"--database={primary} (in a test run, set DATABASES[{alias!r}]['TEST'] = {{'MIRROR': {primary!r}}})."
        )
    _migrating.set(True)


def end(app_config: AppConfig) -> None:
    """Note that `migrate` has told `app_config` of its end; the last app to be told ends it."""
    told = [config for config in apps.get_app_configs() if config.models_module is not None]
    if app_config is told[-1]:
        _migrating.set(False)
