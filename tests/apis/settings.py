"""The site of people who log in and of API clients with tokens, on the local cluster."""

from __future__ import annotations

from tests.cluster.settings import *  # noqa: F403
from tests.cluster.settings import INSTALLED_APPS, MIDDLEWARE

ROOT_URLCONF = "tests.apis.accounts"
INSTALLED_APPS = [*INSTALLED_APPS, "rest_framework", "rest_framework.authtoken", "waffle"]
MIDDLEWARE = [*MIDDLEWARE, "waffle.middleware.WaffleMiddleware"]
# The page about it says why.
WAFFLE_READ_FROM_WRITE_DB = True
# The tests' clients speak plain HTTP.
WAFFLE_SECURE = False
