"""What does a site have that installs the package and configures no replicas?

The app and the middleware are added by `child`, since Django's runner brings its own lists of both.
"""

from __future__ import annotations

from tests.django_suites.settings.without import *  # noqa: F403

DATABASE_ROUTERS = ["django_gmf_router.routers.PrimaryReplicaRouter"]
GMF_ROUTER = {"default": {"REPLICAS": []}}
