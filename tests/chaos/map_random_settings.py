"""The same site with the router that manuals and talks show in place of this package."""

from __future__ import annotations

from tests.chaos.map_settings import *  # noqa: F403
from tests.chaos.map_settings import DATABASES, MIDDLEWARE

GMF_ROUTER = {}
DATABASE_ROUTERS = ["benchmarks.slowness.random_router.RandomRouter"]
REPLICA_DATABASES = ["replica_1", "replica_2"]
MIDDLEWARE = [each for each in MIDDLEWARE if not each.startswith("django_gmf_router.")]
for entry in DATABASES.values():
    entry["ENGINE"] = "django.contrib.gis.db.backends.postgis"
