"""The tests' site with its metrics, whose log is JSON as docs/how-to/metrics-and-alerts.md says."""

from __future__ import annotations

from tests.cluster.settings import *  # noqa: F403
from tests.unit.docs.pages import blocks

_given: dict[str, object] = {}
(_logging,) = (block for block in blocks("docs/how-to/metrics-and-alerts.md", "python") if "LOGGING" in block.text)
exec(_logging.text, _given)
LOGGING = _given["LOGGING"]
ROOT_URLCONF = "tests.cluster.metrics_urls"
