"""Which models are read from the primary, always, and which tables are theirs?"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.apps import apps
from django.conf import settings

ALL_SESSIONS = "sessions.*"
DATABASE_CACHE = "django_cache.*"


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
    caches = (cache for cache in settings.CACHES.values() if cache["BACKEND"].endswith(".DatabaseCache"))
    tables.update({cache["LOCATION"]: ("django_cache.CacheEntry", DATABASE_CACHE in labels) for cache in caches})
    return tables


def _is_session(model: Any) -> bool:
    # Imported here, since importing a model needs the app registry; it needs no django.contrib.sessions installed.
    from django.contrib.sessions.base_session import AbstractBaseSession  # noqa: PLC0415

    return isinstance(model, type) and issubclass(model, AbstractBaseSession)


def is_user(model: Any) -> bool:
    """Return whether `model`, or the concrete model of it, is the site's AUTH_USER_MODEL."""
    meta = (getattr(model._meta, "concrete_model", None) or model)._meta
    return f"{meta.app_label}.{meta.object_name}".lower() == settings.AUTH_USER_MODEL.lower()
