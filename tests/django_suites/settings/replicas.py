"""What does a site have whose "default" is a cluster of one replica, and whose "other" belongs to none?"""

from __future__ import annotations

from tests.django_suites.settings.installed import *  # noqa: F403
from tests.django_suites.settings.without import DATABASES as _DATABASES

DATABASES = {
    **_DATABASES,
    "replica": {"ENGINE": "django.db.backends.sqlite3", "TEST": {"MIRROR": "default"}},
}
GMF_ROUTER = {"default": {"REPLICAS": ["replica"]}}
