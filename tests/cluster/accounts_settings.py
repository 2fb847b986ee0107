"""The site of people who log in: the cluster tests' own, with what a test's environment sets."""

from __future__ import annotations

import json
import os

from tests.cluster.settings import *  # noqa: F403
from tests.cluster.settings import DATABASES, MIDDLEWARE

ROOT_URLCONF = "tests.cluster.accounts_urls"
ADMINS = [("Ada", "ada@example.test")]
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
LOGIN_URL = "/log-in"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
_given = json.loads(os.environ.get("GMF_TEST_SITE", "{}"))
MIDDLEWARE = [*MIDDLEWARE, *_given.pop("more_middleware", [])]
DATABASES["default"]["ATOMIC_REQUESTS"] = _given.pop("atomic_requests", False)
globals().update(_given)
