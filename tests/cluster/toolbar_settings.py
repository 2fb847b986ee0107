"""The tests' site on the local cluster with the debug toolbar, set up as the page about it says."""

from __future__ import annotations

from tests.cluster.settings import *  # noqa: F403
from tests.cluster.settings import INSTALLED_APPS, MIDDLEWARE
from tests.unit.docs.running import example

PAGE = "docs/how-to/in-development.md"

DEBUG = True
ROOT_URLCONF = "tests.toolbar_urls"
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles"]
MIDDLEWARE = [*MIDDLEWARE]
exec(example(PAGE, "DEBUG_TOOLBAR_PANELS").text)
