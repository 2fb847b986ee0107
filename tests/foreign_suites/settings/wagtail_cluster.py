"""The suite over our engine, as the primary of a cluster: its replica is a mirror, as in all tests of a site."""

from __future__ import annotations

from tests.foreign_suites.settings.wagtail_stock import *  # noqa: F403
from tests.foreign_suites.settings.wagtail_stock import DATABASES, INSTALLED_APPS, MIDDLEWARE

DATABASES["default"]["ENGINE"] = "django_gmf_router.backends.postgresql"
DATABASES["replica"] = {**DATABASES["default"], "TEST": {"MIRROR": "default"}}
DATABASE_ROUTERS = ["django_gmf_router.routers.PrimaryReplicaRouter"]
GMF_ROUTER = {"default": {"REPLICAS": ["replica"]}}
MIDDLEWARE = ("django_gmf_router.middleware.RoutingMiddleware", *MIDDLEWARE)
INSTALLED_APPS = [*INSTALLED_APPS, "django_gmf_router"]
