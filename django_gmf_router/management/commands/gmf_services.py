"""How do MapServer, QGIS Server, TinyOWS, HAProxy and PgBouncer get to the same databases?"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_gmf_router.services.build import build
from django_gmf_router.services.conninfo import OLDEST
from django_gmf_router.services.formats import FORMATS
from django_gmf_router.services.values import LOAD_BALANCE_SINCE, ServedCluster, Wanted
from django_gmf_router.settings import configuration, values

DEFAULTS = Wanted()
HIGHEST_PORT = 65535


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
        parser.add_argument("--listen", metavar="ADDRESS", help="HAProxy, PgBouncer (default %(default)s)")
        parser.add_argument("--port", type=int, help="HAProxy: the first port (default 30100); PgBouncer: (6432)")
        roles = parser.add_mutually_exclusive_group()
        roles.add_argument(
            "--patroni-port", type=int, metavar="PORT", help="HAProxy: ask Patroni's REST API for the role"
        )
        roles.add_argument("--check-user", metavar="ROLE", help="HAProxy: ask the nodes as a role without a password")
        parser.set_defaults(**{field: getattr(DEFAULTS, field) for field in Wanted.__dataclass_fields__})

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Print or write the text."""
        wanted = _wanted(options)
        render = FORMATS.get(options["format"])
        if render is None:
            raise CommandError(f"There is no format {options['format']!r}: choose one of {', '.join(FORMATS)}.")
        try:
            text = render(_clusters(options["database"], wanted), wanted)
        except ImproperlyConfigured as error:
            raise CommandError(" ".join(str(error).split())) from None
        if options["output"]:
            _write(Path(options["output"]), text)
        else:
            self.stdout.write(text, ending="")


def _clusters(alias: str | None, wanted: Wanted) -> list[ServedCluster]:
    # With load_balance_hosts the file is the same each time it is written.
    dice = None if wanted.libpq >= LOAD_BALANCE_SINCE else random.Random()
    databases: Mapping[str, Any] = settings.DATABASES
    return [build(config, databases, dice) for config in _configs(alias)]


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


def _wanted(options: dict[str, Any]) -> Wanted:
    wanted = Wanted(**{field: options[field] for field in Wanted.__dataclass_fields__})
    if wanted.libpq < OLDEST:
        raise CommandError(
            f"--libpq {wanted.libpq} knows no lists of hosts: the services need libpq {OLDEST} or later."
        )
    for name, port in (("--port", wanted.port), ("--patroni-port", wanted.patroni_port)):
        if port is not None and not 0 < port <= HIGHEST_PORT:
            raise CommandError(f"{name} {port} is no port: use a number from 1 to {HIGHEST_PORT}.")
    for name in ("passfile", "userlist", "listen"):
        value = getattr(wanted, name)
        if value is not None and (not value.isprintable() or value != value.strip() or not value):
            raise CommandError(
                f"--{name} {value!r} cannot stand in the file: give it without line breaks or spaces at its ends."
            )
    return wanted


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
