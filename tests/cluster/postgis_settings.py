"""The tests' site with GeoDjango, on a local cluster with PostGIS."""

from __future__ import annotations

from tests.cluster.settings import *  # noqa: F403
from tests.cluster.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.gis", "tests.geography"]
ROOT_URLCONF = "tests.geography.urls"
