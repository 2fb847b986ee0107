"""Where does a site install the levels of its tasks?"""

from __future__ import annotations

from django.apps import AppConfig

from django_gmf_router.contrib.tasks import install


class TasksConfig(AppConfig):
    """The app whose tasks the tests send."""

    name = "tests.cluster.tasks"

    def ready(self) -> None:
        """Let tasks that say nothing see what their sender wrote."""
        install(default="session")
