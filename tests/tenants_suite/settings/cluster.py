"""The suite over the same engine, as the primary of a cluster: its replica is a mirror, as in all tests of a site."""

from __future__ import annotations

from tests.tenants_suite.settings.engine import *  # noqa: F403
from tests.tenants_suite.settings.engine import DATABASE_ROUTERS, DATABASES, MIDDLEWARE

DATABASES["replica_1"] = {**DATABASES["default"], "TEST": {"MIRROR": "default"}}
DATABASE_ROUTERS = ("django_gmf_router.routers.PrimaryReplicaRouter", *DATABASE_ROUTERS)
MIDDLEWARE = ("django_gmf_router.middleware.RoutingMiddleware", *MIDDLEWARE)
GMF_ROUTER = {"default": {"REPLICAS": ["replica_1"]}}
