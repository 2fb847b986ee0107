"""The site that the clients of the consistency checker write to and read from."""

from __future__ import annotations

import os

from tests.cluster.settings import *  # noqa: F403
from tests.cluster.settings import MIDDLEWARE

ROOT_URLCONF = "tests.consistency.urls"
MIDDLEWARE = MIDDLEWARE[:1]
# What others do instead of positions, for comparison.
GMF_PIN_SECONDS = float(os.environ.get("GMF_PIN_SECONDS", "0"))
if GMF_PIN_SECONDS:
    MIDDLEWARE = [*MIDDLEWARE, "tests.consistency.pins.pin"]
# One cache for all processes, for the tokens that are kept there.
if GMF_TEST_CACHE := os.environ.get("GMF_TEST_CACHE"):
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": GMF_TEST_CACHE}}
