"""Who is told what this process counts? Nobody, unless he is there."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django_gmf_router.routing.reads import unit_ended

if TYPE_CHECKING:
    from django_gmf_router.routing.unit_of_work import UnitOfWork

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of prometheus-client that names the folder in which processes add up what they count."""


def install() -> None:
    """Tell the traces of OpenTelemetry, and the other processes of the site, where their libraries are installed."""
    # Other distributions share the name.
    if find_spec("opentelemetry") is not None and find_spec("opentelemetry.trace") is not None:
        unit_ended.connect(describe, dispatch_uid="gmf_router.traces")
    if MULTIPROCESS in os.environ and find_spec("prometheus_client") is not None:
        from django_gmf_router.metrics import exposition  # noqa: PLC0415

        exposition.install()


def describe(*, unit: UnitOfWork, **kwargs: Any) -> None:  # noqa: ARG001
    """Add to the current span where `unit`, which ends, read last and why, and how often its reads moved.

    Not where its span has ended: a streaming body may be made later.
    """
    from opentelemetry import trace  # noqa: PLC0415

    span = trace.get_current_span()
    if not span.is_recording():
        return
    span.set_attribute("gmf_router.moves", unit.moves)
    if unit.decision is not None:
        span.set_attribute("gmf_router.role", unit.decision.role.value)
        span.set_attribute("gmf_router.alias", unit.decision.alias)
        span.set_attribute("gmf_router.reason", unit.decision.reason)
