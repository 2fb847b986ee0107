"""What does the trace of a request say of its reads? With OpenTelemetry, where the site has it."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace

from django_gmf_router.routing.reads import unit_ended
from django_gmf_router.routing.unit_of_work import UnitOfWork


def install() -> None:
    """Describe each request and job at its end."""
    unit_ended.connect(describe, dispatch_uid="gmf_router.traces")


def describe(*, unit: UnitOfWork, **kwargs: Any) -> None:  # noqa: ARG001
    """Add to the current span where `unit` read last and why, and how often its reads moved.

    Not where its span has ended: a streaming body may be made later.
    """
    span = trace.get_current_span()
    if not span.is_recording():
        return
    span.set_attribute("gmf_router.moves", unit.moves)
    if unit.decision is not None:
        span.set_attribute("gmf_router.role", unit.decision.role.value)
        span.set_attribute("gmf_router.alias", unit.decision.alias)
        span.set_attribute("gmf_router.reason", unit.decision.reason)
