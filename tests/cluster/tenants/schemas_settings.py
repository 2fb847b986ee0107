"""The site whose tenants have a schema each, by django-tenants."""

from __future__ import annotations

import os

from tests.cluster.settings import *  # noqa: F403
from tests.cluster.tenants.rows.base import PAGE
from tests.unit.docs.pages import blocks

ROOT_URLCONF = "tests.cluster.tenants.urls"
SHARED_APPS = ["django_tenants", "tests.tenants", "django.contrib.contenttypes", "django_gmf_router"]
TENANT_APPS = ["tests.parcels"]
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
TENANT_MODEL = "tenants.Customer"
TENANT_DOMAIN_MODEL = "tenants.Domain"
TENANT_LIMIT_SET_CALLS = bool(os.environ.get("GMF_TEST_LIMIT_SET_CALLS"))
(block,) = (each for each in blocks(PAGE, "python") if "DATABASE_ROUTERS" in each.text)
exec(block.text)
