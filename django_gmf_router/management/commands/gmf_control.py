"""Steer a cluster without a deploy: for all processes, within two INTERVALs."""

from __future__ import annotations

import getpass
import json
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from django_gmf_router.control import changes
from django_gmf_router.models import Control
from django_gmf_router.postgres.sqlstates import cause_of
from django_gmf_router.replicas.steering import Steering, newer
from django_gmf_router.settings import configuration
from django_gmf_router.settings.values import ClusterConfig

RESET = "reset"


class Command(BaseCommand):
    """`gmf_control share PERCENT|reset [--reason TEXT]`, `gmf_control status [--json]`."""

    help = "Steer a cluster: which share of the clients replicas serve. Every process follows within two INTERVALs."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a verb, and what belongs to it."""
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        share = verbs.add_parser("share", help="let replicas serve this part of the clients; 0 is the kill switch")
        share.add_argument("percent", metavar="PERCENT|reset", help="0 to 100; reset: what SHARE says")
        share.add_argument("--reason", default="", help="why, for those who look later")
        status = verbs.add_parser("status", help="show what is said now, who said it, when and why")
        status.add_argument("--json", action="store_true", help="print JSON")
        for verb in (share, status):
            verb.add_argument("--database", default="default", metavar="ALIAS", help="the primary of the cluster")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Change it, or print it."""
        try:
            config = _cluster(options["database"])
            if options["verb"] == "status":
                self._show(config, changes.current(config), as_json=options["json"])
                return
            share = _fraction(options["percent"])
            changes.set_share(config, share, by=_who(), reason=options["reason"])
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"Nothing was changed: {cause_of(error)}") from None
        said = f"what SHARE says, {config.share:.0%}" if share is None else f"{share:.0%}"
        self.stdout.write(f"{config.primary}: replicas serve {said} of the clients.")

    def _show(self, config: ClusterConfig, last: Control | None, *, as_json: bool) -> None:
        told = f"{last.version} {last.state}" if last else None
        steering = newer(Steering(), told, config.site)
        share = config.share if steering.share is None else steering.share
        if as_json:
            change = {"by": last.changed_by, "at": last.changed_at.isoformat(), "reason": last.reason} if last else None
            found = {"cluster": config.primary, "share": share, "is_reset": steering.share is None, "change": change}
            self.stdout.write(json.dumps(found))
            return
        source = "SHARE" if steering.share is None else "gmf_control"
        self.stdout.write(f"{config.primary}: replicas serve {share:.0%} of the clients, by {source}.")
        if last:
            reason = f": {last.reason}" if last.reason else "."
            self.stdout.write(
                f"Last change {last.version}, {last.changed_at:%Y-%m-%d %H:%M} by {last.changed_by}{reason}"
            )


def _cluster(alias: str) -> ClusterConfig:
    found = {config.primary: config for config in configuration.clusters()}
    if alias not in found:
        names = ", ".join(map(repr, found)) or "none is configured"
        raise CommandError(f"--database {alias} is no primary of a cluster in GMF_ROUTER: {names}.")
    return found[alias]


def _fraction(percent: str) -> float | None:
    if percent == RESET:
        return None
    try:
        value = float(percent.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:  # noqa: PLR2004
        raise CommandError(f"share {percent}: say a number of per cent from 0 to 100, or {RESET}.")
    return value / 100


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
