"""Which models are read from the primary, always, and which tables are theirs?"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.cache.backends.db import DatabaseCache
from django.utils.module_loading import import_string

ALL_SESSIONS = "sessions.*"
CACHE_ENTRY = "django_cache.CacheEntry"


def is_primary_model(labels: Collection[str], model: Any) -> bool:
    """Return whether PRIMARY_MODELS, `labels`, holds `model`, its concrete model, or all sessions and it is one.

    `model` may be a stand-in that has nothing but `_meta`, as the database cache's.
    """
    concrete = getattr(model._meta, "concrete_model", None) or model
    names = {f"{meta.app_label}.{meta.object_name}".lower() for meta in (model._meta, concrete._meta)}
    names |= {f"{name.partition('.')[0]}.*" for name in names}
    return bool(names & set(labels)) or (ALL_SESSIONS in labels and _is_session(model))


def labels_by_table(labels: Collection[str]) -> dict[str, tuple[str, bool]]:
    """Return for each table of the installed models the model's label and whether it is a primary model."""
    tables = {
        model._meta.db_table.strip('"'): (model._meta.label, is_primary_model(labels, model))
        for model in apps.get_models(include_auto_created=True)
    }
    # A site may have a class of its own; its stand-in for a model has a label of Django's.
    caches = (cache for cache in settings.CACHES.values() if issubclass(import_string(cache["BACKEND"]), DatabaseCache))
    is_primary = not {"django_cache.*", CACHE_ENTRY.lower()}.isdisjoint(labels)
    tables.update({cache["LOCATION"]: (CACHE_ENTRY, is_primary) for cache in caches})
    return tables


def _is_session(model: Any) -> bool:
    # Imported here, since importing a model needs the app registry; it needs no django.contrib.sessions installed.
    from django.contrib.sessions.base_session import AbstractBaseSession  # noqa: PLC0415

    return isinstance(model, type) and issubclass(model, AbstractBaseSession)
