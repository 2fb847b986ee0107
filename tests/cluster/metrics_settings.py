"""The tests' site with its metrics, whose log is JSON as docs/how-to/metrics-and-alerts.md says."""

from __future__ import annotations

from tests.cluster.settings import *  # noqa: F403
from tests.unit.docs.running import run_example

LOGGING = run_example("docs/how-to/metrics-and-alerts.md", "class JsonLines")["LOGGING"]
ROOT_URLCONF = "tests.cluster.metrics_urls"
