"""Migrate the main and the static schema of a cluster; each keeps its own history."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.core.management.commands import migrate

from django_gmf_router import clusters
from django_gmf_router.routing import primary_models
from django_gmf_router.schemas.migrating import prepared
from django_gmf_router.settings import configuration

READ_ONLY = ("plan", "check_unapplied")


class Command(migrate.Command):
    """`gmf_migrate`: takes what `migrate` takes, and exits as it does."""

    help = "Creates the missing schemas of a cluster and migrates both, the main and the static one."

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        """Leave the checks of the database until there are schemas."""
        return {**super().get_check_kwargs(options), "databases": []}

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, alone on this database: another one that runs is waited for."""
        alias = options["database"]
        _refuse(alias)
        if any(options[name] for name in READ_ONLY):
            super().handle(*args, **options)
            return
        with prepared(alias, waiting=self._waiting):
            if not options["skip_checks"]:
                self.check(databases=[alias])
            super().handle(*args, **options)

    def _waiting(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _refuse(alias: str) -> None:
    try:
        schemas = configuration.schemas_of(alias)
        if (cluster := clusters.of_replica(alias)) is not None:
            primary_models.begin_migrating(alias, cluster.config)
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from None
    if schemas is None:
        raise CommandError(f"GMF_ROUTER[{alias!r}] has no SCHEMAS: run migrate, or name them there.")
