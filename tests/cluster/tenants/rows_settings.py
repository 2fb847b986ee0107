"""The site whose tenants share one table, with policies of row-level security."""

from __future__ import annotations

from tests.cluster.settings import *  # noqa: F403

ROOT_URLCONF = "tests.cluster.tenants.urls"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_gmf_router", "tests.parcels"]
MIDDLEWARE = ["django_gmf_router.middleware.RoutingMiddleware", "tests.cluster.tenants.rows.base.TenantMiddleware"]
