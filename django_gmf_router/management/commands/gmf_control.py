"""Steer a cluster without a deploy: for all processes, within two INTERVALs."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations
from django.db import DatabaseError

from django_gmf_router.control import changes
from django_gmf_router.models import Control
from django_gmf_router.postgres.sqlstates import cause_of
from django_gmf_router.replicas.readings import Steering
from django_gmf_router.settings import configuration
from django_gmf_router.settings.values import ClusterConfig

RESET = "reset"


class Command(BaseCommand):
    """`gmf_control share PERCENT|reset`, `drain|undrain ALIAS`, `maintenance on|off`, each with a reason; `status`."""

    help = (
        "Steer a cluster: the share of the clients that replicas serve, a replica out of rotation and back, "
        "maintenance. Every process follows within two INTERVALs."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a verb, and what belongs to it."""
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        share = verbs.add_parser("share", help="let replicas serve this part of the clients; 0 is the kill switch")
        share.add_argument("percent", metavar="PERCENT|reset", help="0 to 100; reset: what SHARE says")
        drain = verbs.add_parser("drain", help="take a replica out of rotation: it gets no new reads")
        undrain = verbs.add_parser("undrain", help="put a replica back into rotation")
        for verb in (drain, undrain):
            verb.add_argument("alias", metavar="ALIAS", help="the replica's alias")
        maintenance = verbs.add_parser("maintenance", help="let requests read only, or write again")
        maintenance.add_argument("switch", choices=["on", "off"])
        for verb in (share, drain, undrain, maintenance):
            verb.add_argument("--reason", default="", help="why, for those who look later")
        status = verbs.add_parser("status", help="show what is said now, who said it, when and why")
        status.add_argument("--json", action="store_true", help="print JSON")
        for verb in (share, drain, undrain, maintenance, status):
            verb.add_argument("--database", default="default", metavar="ALIAS", help="the primary of the cluster")

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Change it, or print it."""
        verbs: dict[str, Callable[..., str]] = {
            "share": _share,
            "drain": _drain,
            "undrain": _undrain,
            "maintenance": _maintenance,
            "status": _status,
        }
        try:
            self.stdout.write(verbs[options["verb"]](_cluster(options["database"]), options))
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"Nothing was changed: {cause_of(error)}") from None


def _share(config: ClusterConfig, options: dict[str, Any]) -> str:
    share = _fraction(options["percent"])
    changes.set_share(config, share, by=_who(), reason=options["reason"])
    said = f"what SHARE says, {config.share:.0%}" if share is None else f"{share:.0%}"
    return f"{config.primary}: replicas serve {said} of the clients."


def _drain(config: ClusterConfig, options: dict[str, Any]) -> str:
    change = changes.drain(config, options["alias"], by=_who(), reason=options["reason"])
    follows = changes.who_serves(config, changes.steering_of(config, change).drained)
    return f"{config.primary}: {options['alias']} is drained. {follows}"


def _undrain(config: ClusterConfig, options: dict[str, Any]) -> str:
    change = changes.undrain(config, options["alias"], by=_who(), reason=options["reason"])
    follows = changes.who_serves(config, changes.steering_of(config, change).drained)
    return f"{config.primary}: {options['alias']} is back in rotation. {follows}"


def _maintenance(config: ClusterConfig, options: dict[str, Any]) -> str:
    is_on = options["switch"] == "on"
    changes.set_maintenance(config, is_on, by=_who(), reason=options["reason"])
    return f"{config.primary}: maintenance is {'on, requests may only read' if is_on else 'off, requests may write'}."


def _status(config: ClusterConfig, options: dict[str, Any]) -> str:
    last = changes.current(config)
    steering = changes.steering_of(config, last)
    return _as_json(config, steering, last) if options["json"] else "\n".join(_lines(config, steering, last))


def _as_json(config: ClusterConfig, steering: Steering, last: Control | None) -> str:
    change = {"by": last.changed_by, "at": last.changed_at.isoformat(), "reason": last.reason} if last else None
    found = {
        "cluster": config.primary,
        "share": config.share if steering.share is None else steering.share,
        "is_reset": steering.share is None,
        "drained": sorted(steering.drained),
        "maintenance": steering.maintenance,
        "maintenance_reason": steering.maintenance_reason,
        "change": change,
    }
    return json.dumps(found)


def _lines(config: ClusterConfig, steering: Steering, last: Control | None) -> list[str]:
    share, source = (config.share, "SHARE") if steering.share is None else (steering.share, "gmf_control")
    lines = [f"{config.primary}: replicas serve {share:.0%} of the clients, by {source}."]
    if steering.drained:
        follows = changes.who_serves(config, steering.drained)
        lines.append(f"{config.primary}: drained: {', '.join(sorted(steering.drained))}. {follows}")
    if steering.maintenance:
        reason = f": {steering.maintenance_reason}" if steering.maintenance_reason else "."
        lines.append(f"{config.primary}: maintenance is on, requests may only read{reason}")
    if last:
        reason = f": {last.reason}" if last.reason else "."
        lines.append(f"Last change {last.version}, {last.changed_at:%Y-%m-%d %H:%M} by {last.changed_by}{reason}")
    return lines


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
