"""How is the demo site configured? From the environment; without DATABASE_URL on one SQLite file."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import environ

from django_gmf_router import env as gmf_env

BASE_DIR = Path(__file__).resolve().parent

# Three aliases of one file: a developer's machine exercises the rules too, reads and writes included.
SQLITE_URL = f"sqlite:///{quote(str(BASE_DIR / 'demo.sqlite3'))}"
SQLITE = {"DATABASE_URL": (str, SQLITE_URL), "DATABASE_REPLICA_URLS": (str, f"{SQLITE_URL},{SQLITE_URL}")}

env = environ.Env(
    DEBUG=(bool, True),
    ALLOWED_HOSTS=(list, ["127.0.0.1", "localhost", "[::1]"]),
    CACHE_URL=(str, "locmemcache://"),
    GMF_DB_CHOOSER_MASTER=(list, [r"(GET|HEAD) /s/.*", r"(GET|HEAD) /print/.*"]),
    GMF_DB_CHOOSER_SLAVE=(list, [r"POST /places/search", r"POST /collections/parcels/search"]),
    **({} if "DATABASE_URL" in os.environ else SQLITE),
)

DEBUG = env.bool("DEBUG")
SECRET_KEY = env.str("SECRET_KEY", default="only-for-development" if DEBUG else env.NOTSET)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS")

DATABASES, GMF_ROUTER = gmf_env.databases(env)
DATABASE_ROUTERS = ["django_gmf_router.routers.PrimaryReplicaRouter"]
if GMF_ROUTER:
    GMF_ROUTER["default"]["DEBUG_HEADER"] = "X-GMF-Database"

# With a DATABASE_URL that begins with postgis:// the site has parcels, too.
HAS_PARCELS = DATABASES["default"]["ENGINE"] == "django_gmf_router.backends.postgis"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_gmf_router",
    "testproject.places",
    "testproject.tiles",
    "testproject.served",
    *(["django.contrib.gis", "vectortiles", "testproject.parcels"] if HAS_PARCELS else []),
]

MIDDLEWARE = [
    "django_gmf_router.middleware.RoutingMiddleware",
    "testproject.served.middleware.ServedByMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
            ],
        },
    },
]

# With several web processes name a shared one, filecache:///directory: the page `/` shows what is in it.
CACHES = {"default": env.cache_url("CACHE_URL")}

ROOT_URLCONF = "testproject.urls"
WSGI_APPLICATION = "testproject.wsgi.application"
ASGI_APPLICATION = "testproject.asgi.application"
TEST_RUNNER = "testproject.runner.SiteRunner"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
LANGUAGE_CODE = "en"
TIME_ZONE = "Europe/Zurich"
USE_TZ = True
