"""The site of the package's own tests: SQLite aliases, or what a test's environment names."""

from __future__ import annotations

import os
import sys
import tempfile

if os.environ.get("GMF_TEST_DRIVER") == "psycopg2":
    # Django takes psycopg 3 wherever it can be imported.
    sys.modules["psycopg"] = None  # type: ignore[assignment]

SECRET_KEY = "for the tests only"
USE_TZ = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
# What sends mail warns without it, from Django 6.1 on.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
_DIRECTORY = tempfile.gettempdir()
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{_DIRECTORY}/gmf-tests.sqlite3"},
    "replica_1": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{_DIRECTORY}/gmf-tests.sqlite3",
        "TEST": {"MIRROR": "default"},
    },
    "replica_2": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{_DIRECTORY}/gmf-tests.sqlite3",
        "TEST": {"MIRROR": "default"},
    },
    "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{_DIRECTORY}/gmf-tests-other.sqlite3"},
}
DATABASE_ROUTERS = ["django_gmf_router.routers.PrimaryReplicaRouter"]
GMF_ROUTER = {
    "default": {
        "REPLICAS": ["replica_1", "replica_2"],
        "DB_CHOOSER": {"master": [r"(GET|HEAD) /s/.*"], "slave": [r"\w+ /printproxy/.*"]},
        "DEBUG_HEADER": "X-GMF-Database",
    }
}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django_gmf_router",
    "tests.books",
]
MIDDLEWARE = [
    "django_gmf_router.middleware.RoutingMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "database": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "gmf_cache"},
}
