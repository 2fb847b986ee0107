"""The tests' site on the local cluster, as the web servers run it; no MIRROR, so that replicas are really reached."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import CACHES, GMF_ROUTER, INSTALLED_APPS

DEBUG = False
BASE_DIR = os.environ.get("GMF_TEST_BASE_DIR", "")
DATABASES = json.loads(os.environ["GMF_TEST_DATABASES"])
GMF_ROUTER = {"default": {**GMF_ROUTER["default"], **json.loads(os.environ.get("GMF_TEST_ROUTER", "{}"))}}
GMF_ROUTER = json.loads(os.environ["GMF_TEST_CLUSTERS"]) if "GMF_TEST_CLUSTERS" in os.environ else GMF_ROUTER
INSTALLED_APPS = [*INSTALLED_APPS]
CACHES = json.loads(os.environ["GMF_TEST_CACHES"]) if "GMF_TEST_CACHES" in os.environ else CACHES
MIGRATION_MODULES = json.loads(os.environ.get("GMF_TEST_MIGRATIONS", "{}"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
