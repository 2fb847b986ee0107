"""How do map servers, HAProxy and PgBouncer get to the same databases?"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_gmf_router.services import haproxy, libpq_clients, map_servers, pgbouncer
from django_gmf_router.services.libpq_clients import LOAD_BALANCE_SINCE
from django_gmf_router.services.map_servers import WITHOUT_LIBPQ
from django_gmf_router.services.served_clusters import ServedCluster, served_cluster
from django_gmf_router.services.service_options import ServiceOptions
from django_gmf_router.settings import configuration, values

FORMATS: dict[str, Callable[[Sequence[ServedCluster], ServiceOptions], str]] = {
    "pg_service": libpq_clients.pg_service,
    "libpq": libpq_clients.connection_strings,
    "haproxy": haproxy.configuration,
    "mapserver": libpq_clients.mapserver_layer,
    "pgbouncer": pgbouncer.configuration,
    "martin": map_servers.martin,
    "tipg": map_servers.tipg,
    "pygeoapi": map_servers.pygeoapi,
    "qgis": map_servers.qgis,
}
FIELDS = [field.name for field in fields(ServiceOptions)]


class Command(BaseCommand):
    """`gmf_services FORMAT [--database ALIAS] [--output FILE]`."""

    help = "Write the configuration of the other services from DATABASES and GMF_ROUTER. No password is in it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the format and what only the operator knows of the services' machines."""
        parser.add_argument("format", metavar="FORMAT", help=", ".join(FORMATS))
        parser.add_argument("--database", metavar="ALIAS", help="the primary's alias; else every cluster")
        parser.add_argument("--output", metavar="FILE", help="write to a file; else to stdout")
        parser.add_argument(
            "--libpq", type=int, metavar="N", help="the services' libpq, major version (default %(default)s)"
        )
        parser.add_argument("--passfile", metavar="FILE", help="libpq: where the services find passwords")
        parser.add_argument("--userlist", metavar="FILE", help="PgBouncer: auth_file (default %(default)s)")
        parser.add_argument("--own-role", action="store_true", help="PgBouncer: no other server logs in as these roles")
        parser.add_argument("--listen", metavar="ADDRESS", help="HAProxy, PgBouncer (default %(default)s)")
        parser.add_argument("--port", type=int, help="HAProxy: the first port (default 30100); PgBouncer: (6432)")
        roles = parser.add_mutually_exclusive_group()
        roles.add_argument(
            "--patroni-port", type=int, metavar="PORT", help="HAProxy: ask Patroni's REST API for the role"
        )
        roles.add_argument("--check-user", metavar="ROLE", help="HAProxy: ask the nodes as a role without a password")
        parser.set_defaults(**{field: getattr(ServiceOptions(), field) for field in FIELDS})

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Print or write the text."""
        render = FORMATS.get(options["format"])
        if render is None:
            raise CommandError(f"There is no format {options['format']!r}: choose one of {', '.join(FORMATS)}.")
        try:
            given = ServiceOptions(**{field: options[field] for field in FIELDS})
            # With load_balance_hosts the file is the same each time it is written.
            is_balanced = given.libpq >= LOAD_BALANCE_SINCE and options["format"] not in WITHOUT_LIBPQ
            dice = None if is_balanced else random.Random()
            databases: Mapping[str, Any] = settings.DATABASES
            clusters = [served_cluster(config, databases, dice) for config in _configs(options["database"])]
            text = render(clusters, given)
        except ImproperlyConfigured as error:
            raise CommandError(" ".join(str(error).split())) from None
        if not options["output"]:
            self.stdout.write(text, ending="")
            return
        try:
            Path(options["output"]).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from None


def _configs(alias: str | None) -> list[values.ClusterConfig]:
    found = configuration.entries()
    if alias is None:
        # A developer's machine without replicas has the same services, all on the one server.
        return list(found) or [values.ClusterConfig(primary="default")]
    for config in found:
        if alias in config.replica_aliases:
            raise ImproperlyConfigured(
                f"{alias!r} is a replica of {config.primary!r}: say --database {config.primary}."
            )
    if alias not in settings.DATABASES:
        raise ImproperlyConfigured(
            f"There is no alias {alias!r} in DATABASES: choose one of {', '.join(settings.DATABASES)}."
        )
    return [next((config for config in found if config.primary == alias), values.ClusterConfig(primary=alias))]
