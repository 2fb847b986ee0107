"""The tests' site on the local cluster with other people's tools, set up as the page about them says."""

from __future__ import annotations

import os

from tests.cluster.settings import *  # noqa: F403
from tests.cluster.settings import INSTALLED_APPS
from tests.unit.docs.running import examples

PAGE = "docs/how-to/tools-that-compare-engines.md"

INSTALLED_APPS = [*INSTALLED_APPS, "dbbackup", "django_extensions"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "dbbackup": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": os.environ["GMF_TEST_BACKUPS"]},
    },
}
for block in examples(PAGE, "django_gmf_router.backends."):
    exec(block.text)
