"""Which reads outside requests belong to a migration?"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from django.apps import apps

_migrating: ContextVar[bool] = ContextVar("gmf_migrating", default=False)


def is_migrating() -> bool:
    """Return whether `migrate` runs in this context."""
    return _migrating.get()


def is_historical(model: Any) -> bool:
    """Return whether `model` is one of a migration's state, as RunPython gets it, or a stand-in."""
    return getattr(model._meta, "apps", None) is not apps


def begin_migrate() -> None:
    """Note that `migrate` has begun in this context."""
    _migrating.set(True)


def end_migrate(app_config: Any) -> None:
    """Note that `migrate` has told `app_config` of its end; the last app to be told ends it."""
    told = [config for config in apps.get_app_configs() if config.models_module is not None]
    if app_config is told[-1]:
        _migrating.set(False)
