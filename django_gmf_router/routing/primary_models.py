"""Which models are read from the primary, always: primary models, whose tables are told, and those of a migration?"""

from __future__ import annotations

from collections.abc import Collection
from contextvars import ContextVar
from dataclasses import dataclass

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.cache.backends.db import DatabaseCache
from django.db.models import Model
from django.utils.module_loading import import_string

from django_gmf_router.exceptions import ReplicaMigrationRefused
from django_gmf_router.settings.values import DATABASE_CACHE, ClusterConfig

ALL_SESSIONS = "sessions.*"
CACHE_ENTRY = "django_cache.CacheEntry"


def is_primary_model(labels: Collection[str], model: type[Model]) -> bool:
    """Return whether PRIMARY_MODELS, `labels`, holds `model`, its concrete model, or all sessions and it is one.

    `model` may be a stand-in that has nothing but `_meta`, as the database cache's.
    """
    concrete = getattr(model._meta, "concrete_model", None) or model
    names = {f"{meta.app_label}.{meta.object_name}".lower() for meta in (model._meta, concrete._meta)}
    names |= {f"{name.partition('.')[0]}.*" for name in names}
    return bool(names & set(labels)) or (ALL_SESSIONS in labels and _is_session(model))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """A table of the site's models, as the statements on it are seen."""

    label: str
    """Of its model; of several models on one table that of the concrete one."""
    is_primary: bool
    """Whether all its models are primary models. Others may join it all the same, and then read it from replicas."""
    is_unread: bool = False
    """Whether nobody has to see its writes elsewhere: sessions and the database cache, as primary models."""


def model_tables(labels: Collection[str]) -> dict[str, ModelTable]:
    """Return what is known of each table of the installed models; `labels` are PRIMARY_MODELS."""
    models: dict[str, list[type[Model]]] = {}
    for model in apps.get_models(include_auto_created=True):
        models.setdefault(model._meta.db_table.strip('"'), []).append(model)
    tables = {table: _model_table(labels, found) for table, found in models.items()}
    kept = not {DATABASE_CACHE, CACHE_ENTRY.lower()}.isdisjoint(labels)
    for cache in settings.CACHES.values():
        # A site may have a class of its own; its stand-in for a model has a label of Django's.
        if issubclass(import_string(cache["BACKEND"]), DatabaseCache):
            tables[cache["LOCATION"]] = ModelTable(label=CACHE_ENTRY, is_primary=kept, is_unread=kept)
    return tables


def _model_table(labels: Collection[str], models: list[type[Model]]) -> ModelTable:
    concrete = next((model for model in models if not model._meta.proxy), models[0])
    is_primary = all(is_primary_model(labels, model) for model in models)
    return ModelTable(label=concrete._meta.label, is_primary=is_primary, is_unread=is_primary and _is_session(concrete))


def _is_session(model: type[Model]) -> bool:
    # Imported here, since importing a model needs the app registry; it needs no django.contrib.sessions installed.
    from django.contrib.sessions.base_session import AbstractBaseSession  # noqa: PLC0415

    return isinstance(model, type) and issubclass(model, AbstractBaseSession)


def is_user(model: type[Model]) -> bool:
    """Return whether `model`, or the concrete model of it, is the site's AUTH_USER_MODEL."""
    meta = (getattr(model._meta, "concrete_model", None) or model)._meta
    return f"{meta.app_label}.{meta.object_name}".lower() == settings.AUTH_USER_MODEL.lower()


# Migrations

_migrating: ContextVar[bool] = ContextVar("gmf_migrating", default=False)


def is_migrating() -> bool:
    """Return whether `migrate` runs in this context."""
    return _migrating.get()


def is_historical(model: type[Model]) -> bool:
    """Return whether `model` is one of a migration's state, as RunPython gets it, or a stand-in."""
    return getattr(model._meta, "apps", None) is not apps


def begin_migrating(alias: str, cluster: ClusterConfig | None) -> None:
    """Note that `migrate` has begun in this context; raise ReplicaMigrationRefused for a replica, before it records."""
    if cluster is not None and alias != cluster.primary:
        primary = cluster.primary
        raise ReplicaMigrationRefused(
            f"The alias {alias!r} is a replica of {primary!r}, from which it receives its migrations: run migrate "
            f"--database={primary} (in a test run, set DATABASES[{alias!r}]['TEST'] = {{'MIRROR': {primary!r}}})."
        )
    _migrating.set(True)


def end_migrating(app_config: AppConfig) -> None:
    """Note that `migrate` has told `app_config` of its end; the last app to be told ends it."""
    told = [config for config in apps.get_app_configs() if config.models_module is not None]
    if app_config is told[-1]:
        _migrating.set(False)
