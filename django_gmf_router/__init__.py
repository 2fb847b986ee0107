"""Reads to replicas, writes to the primary: the GeoMapFish cluster for Django."""

from __future__ import annotations

from django_gmf_router.decision import Decision
from django_gmf_router.routing.blocks import use_primary, use_replica
from django_gmf_router.routing.current import current_decision

__all__ = ["Decision", "current_decision", "use_primary", "use_replica"]
