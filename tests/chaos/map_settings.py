"""The demo's site as a server has it: its map, without the panel that breaks replicas."""

from __future__ import annotations

from testproject.settings import *  # noqa: F403
from testproject.settings import DATABASES, GMF_ROUTER
from tests.chaos.sites import HEALTH

GMF_ROUTER["default"]["HEALTH"] = HEALTH
for entry in DATABASES.values():
    entry["CONN_MAX_AGE"] = 60
