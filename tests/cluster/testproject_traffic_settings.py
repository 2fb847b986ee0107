"""The demo site, by GMF_TEST_DRY_RUN with one server and a dry run, else with its replicas."""

from __future__ import annotations

import os
from pathlib import Path

from testproject.settings import *  # noqa: F403

# What it asks each server is no page's read.
MIDDLEWARE = [name for name in MIDDLEWARE if not name.endswith("ServedByMiddleware")]  # noqa: F405
ALLOWED_HOSTS = ["testserver"]
BASE_DIR = Path(os.environ["GMF_TEST_BASE_DIR"])
if "GMF_TEST_DRY_RUN" in os.environ:
    DATABASES = {"default": DATABASES["default"]}  # noqa: F405
    GMF_ROUTER = {"default": {**GMF_ROUTER["default"], "REPLICAS": [], "DRY_RUN": True}}  # noqa: F405
