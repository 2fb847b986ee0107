"""Who is told what this process counts? Nobody, unless he is there."""

from __future__ import annotations

import os
from importlib.util import find_spec

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of prometheus-client that names the folder in which processes add up what they count."""


def install() -> None:
    """Tell the traces of OpenTelemetry, and the other processes of the site, where their libraries are installed."""
    # Other distributions share the name.
    if find_spec("opentelemetry") is not None and find_spec("opentelemetry.trace") is not None:
        from django_gmf_router.metrics import traces  # noqa: PLC0415

        traces.install()
    if MULTIPROCESS in os.environ and find_spec("prometheus_client") is not None:
        from django_gmf_router.metrics import exposition  # noqa: PLC0415

        exposition.install()
