"""What does installing the app switch on?"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.core.signals import got_request_exception
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy


class GmfRouterConfig(AppConfig):
    """Registers the system checks, the guard of connections, and what migrations do with replicas and schemas."""

    name = "django_gmf_router"
    label = "gmf_router"
    verbose_name = gettext_lazy("Read/write splitting")

    def ready(self) -> None:
        """Connect; nothing is opened and no thread is started here, since the server may fork later."""
        from django_gmf_router import metrics, unavailable  # noqa: PLC0415
        from django_gmf_router.backends import cursors  # noqa: PLC0415
        from django_gmf_router.doctor import checks, examination  # noqa: PLC0415
        from django_gmf_router.schemas import advisories  # noqa: PLC0415
        from django_gmf_router.settings import configuration  # noqa: PLC0415

        register(checks.check_errors)
        register(checks.check_warnings)
        register(examination.check_servers, Tags.database)
        register(advisories.check_settings)
        register(advisories.check_server, Tags.database)
        connection_created.connect(cursors.guard_connection, dispatch_uid="gmf_router.guard")
        got_request_exception.connect(unavailable.note_failure, dispatch_uid="gmf_router.exception")
        metrics.install()
        pre_migrate.connect(_on_pre_migrate, dispatch_uid="gmf_router.pre_migrate")
        if configuration.names_schemas():
            from django_gmf_router.schemas import migrating  # noqa: PLC0415

            migrating.install()


def _on_pre_migrate(*, using: str, **kwargs: Any) -> None:  # noqa: ARG001
    from django_gmf_router import clusters  # noqa: PLC0415
    from django_gmf_router.routing import primary_models  # noqa: PLC0415
    from django_gmf_router.settings import configuration  # noqa: PLC0415

    cluster = clusters.of_alias(using)
    primary_models.begin_migrating(using, None if cluster is None else cluster.config)
    if configuration.schemas_of(using) is not None:
        from django_gmf_router.schemas import migrating  # noqa: PLC0415

        migrating.begin_migrate(using)
    # Last among the receivers: those of the last app still belong to the migration.
    post_migrate.disconnect(dispatch_uid="gmf_router.post_migrate")
    post_migrate.connect(_on_post_migrate, dispatch_uid="gmf_router.post_migrate")


def _on_post_migrate(*, sender: AppConfig, **kwargs: Any) -> None:  # noqa: ARG001
    from django_gmf_router.routing import primary_models  # noqa: PLC0415

    primary_models.end_migrating(sender)
