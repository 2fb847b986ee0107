"""Reads to replicas, writes to the primary: the GeoMapFish cluster for Django."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_gmf_router.own_writes import consistency_token, note_write, read_after
    from django_gmf_router.own_writes.jobs import unit_of_work
    from django_gmf_router.routing.blocks import use_primary, use_replica
    from django_gmf_router.routing.misses import or_primary
    from django_gmf_router.routing.unit_of_work import Decision, current_decision

__all__ = [
    "Decision", "consistency_token", "current_decision", "note_write", "or_primary", "read_after", "unit_of_work",
    "use_primary", "use_replica",
]  # fmt: skip

__version__ = "1.0.0rc1"

_HOMES = {
    "Decision": "routing.unit_of_work",
    "consistency_token": "own_writes",
    "current_decision": "routing.unit_of_work",
    "note_write": "own_writes",
    "or_primary": "routing.misses",
    "read_after": "own_writes",
    "unit_of_work": "own_writes.jobs",
    "use_primary": "routing.blocks",
    "use_replica": "routing.blocks",
}


def __getattr__(name: str) -> Any:
    # Settings import this package for `env` alone: they must load no more than they use.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
