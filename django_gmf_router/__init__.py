"""Reads to replicas, writes to the primary: the GeoMapFish cluster for Django."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_gmf_router.decision import Decision
    from django_gmf_router.reading import consistency_token, read_after
    from django_gmf_router.routing.blocks import use_primary, use_replica
    from django_gmf_router.routing.current import current_decision

__all__ = ["Decision", "consistency_token", "current_decision", "read_after", "use_primary", "use_replica"]

_MODULES = {
    "Decision": "decision",
    "consistency_token": "reading",
    "current_decision": "routing.current",
    "read_after": "reading",
    "use_primary": "routing.blocks",
    "use_replica": "routing.blocks",
}


def __getattr__(name: str) -> Any:
    # Imported when asked for: a settings.py that imports django_gmf_router.env loads neither routing nor django.http.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
