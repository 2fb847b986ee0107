"""Reads to replicas, writes to the primary: the GeoMapFish cluster for Django."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_gmf_router.decision import Decision
from django_gmf_router.routing.blocks import use_primary, use_replica
from django_gmf_router.routing.current import current_decision

if TYPE_CHECKING:
    from django_gmf_router.reading import consistency_token, read_after

__all__ = ["Decision", "consistency_token", "current_decision", "read_after", "use_primary", "use_replica"]


def __getattr__(name: str) -> Any:
    # These need the clusters; the watchdog of a local cluster, say, does without.
    if name in {"consistency_token", "read_after"}:
        from django_gmf_router import reading  # noqa: PLC0415

        return getattr(reading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
