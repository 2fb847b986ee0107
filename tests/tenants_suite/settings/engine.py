"""The suite over the engine of the page about tenants, in no cluster."""

from __future__ import annotations

from tests.tenants_suite.settings.stock import *  # noqa: F403
from tests.tenants_suite.settings.stock import DATABASES

DATABASES["default"]["ENGINE"] = "tests.cluster.tenants.schemas"
