"""The site whose tenants have a schema each, by django-tenants."""

from __future__ import annotations

import os

from tests.cluster.settings import *  # noqa: F403
from tests.unit.docs.running import example

ROOT_URLCONF = "tests.cluster.tenants.urls"
SHARED_APPS = ["django_tenants", "tests.tenants", "django.contrib.contenttypes", "django_gmf_router"]
TENANT_APPS = ["tests.parcels"]
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
TENANT_MODEL = "tenants.Customer"
TENANT_DOMAIN_MODEL = "tenants.Domain"
TENANT_LIMIT_SET_CALLS = bool(os.environ.get("GMF_TEST_LIMIT_SET_CALLS"))
exec(example("docs/how-to/tenants.md", "DATABASE_ROUTERS").text)
