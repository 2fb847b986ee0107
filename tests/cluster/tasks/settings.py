"""The tests' site on the local cluster, with a queue of tasks in its database."""

from __future__ import annotations

from tests.cluster.settings import *  # noqa: F403
from tests.cluster.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_tasks_db", "tests.cluster.tasks"]
TASKS = {
    "default": {"BACKEND": "django_tasks_db.DatabaseBackend"},
    "at_once": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"},
}
