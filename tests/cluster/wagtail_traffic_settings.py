"""The site that Wagtail's template makes, by GMF_TEST_DRY_RUN with one server and a dry run, else with its replicas."""

from __future__ import annotations

import os
from pathlib import Path

import environ

# Made by `wagtail start`, with Wagtail found beside this site.
from office.settings.base import *  # noqa: F403
from office.settings.base import INSTALLED_APPS, MIDDLEWARE

from django_gmf_router import env as gmf_env

SECRET_KEY = "for the tests only"
ALLOWED_HOSTS = ["testserver"]
BASE_DIR = Path(os.environ["GMF_TEST_BASE_DIR"])
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
INSTALLED_APPS = [*INSTALLED_APPS, "django_gmf_router"]
MIDDLEWARE = ["django_gmf_router.middleware.RoutingMiddleware", *MIDDLEWARE]
DATABASE_ROUTERS = ["django_gmf_router.routers.PrimaryReplicaRouter"]
DATABASES, GMF_ROUTER = gmf_env.databases(environ.Env())
if "GMF_TEST_DRY_RUN" in os.environ:
    DATABASES = {"default": DATABASES["default"]}
    GMF_ROUTER = {"default": {"DRY_RUN": True}}
