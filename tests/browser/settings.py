"""The site that browsers visit: on the local cluster, with static files, CSRF and a policy that forbids inline code."""

from __future__ import annotations

from tests.cluster.settings import *  # noqa: F403
from tests.cluster.settings import GMF_ROUTER, INSTALLED_APPS, MIDDLEWARE

ROOT_URLCONF = "tests.browser.urls"
STATIC_URL = "/static/"
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles"]
first, session, *others = MIDDLEWARE
MIDDLEWARE = [
    first,
    "tests.browser.served.forbid_inline_code",
    session,
    "django.middleware.csrf.CsrfViewMiddleware",
    *others,
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
GMF_ROUTER = {
    "default": {
        **GMF_ROUTER["default"],
        "DB_CHOOSER": {"master": [r"(GET|HEAD) /s/.*", r"GET /session$"], "slave": [r"\w+ /printproxy/.*"]},
    }
}
