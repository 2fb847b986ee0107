"""What has `make demo` beside the site? A panel that breaks the replicas of its own cluster."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from testproject.settings import *  # noqa: F403
from testproject.settings import DEBUG, INSTALLED_APPS, MIDDLEWARE

if not DEBUG:
    raise ImproperlyConfigured("testproject.demo_settings are for make demo alone: use testproject.settings.")

INSTALLED_APPS = [*INSTALLED_APPS, "testproject.outages"]
MIDDLEWARE = [*MIDDLEWARE, "testproject.outages.middleware.OnlookersMiddleware"]
ROOT_URLCONF = "testproject.outages.urls"
# Debian's GDAL may be older than 3.9. It warns of foreign spatial references, and nobody can send one here.
SILENCED_SYSTEM_CHECKS = ["gis.W001"]
