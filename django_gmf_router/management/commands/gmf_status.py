"""Show the nodes of every cluster: which are up, how far behind, and since when."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import Style

from django_gmf_router.management import style_of
from django_gmf_router.postgres.dialects import POSTGRESQL
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.status import NodeReport, exit_code, statuses
from django_gmf_router.settings import configuration

COLUMNS = ("alias", "role", "state", "lag", "position", "dialect", "since", "pool", "tier", "share", "drained")
USUAL: dict[str, set[object]] = {
    "pool": {None},
    "tier": {None, 1},
    "drained": {False},
    "dialect": {None, POSTGRESQL.name},
}
"""What most sites have: a column that says no more is left out."""
BY_TIME = "{}: positions are unknown, so clients that wrote read from the primary for CONSISTENCY['WINDOW']."
STYLES = {State.UP: "SUCCESS", State.SLOW: "WARNING", State.LAGGING: "WARNING", State.DOWN: "ERROR"}


class Command(BaseCommand):
    """`gmf_status [--json]`; exits with 0 all up, 1 degraded, 2 no primary."""

    help = "Show the nodes of every cluster. Exits with 0 if all are up, 1 if one is not, 2 if a primary is missing."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the format."""
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Print the nodes and exit with their state."""
        try:
            nodes = statuses(configuration.clusters())
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        style = style_of(self, options)
        self.stdout.write(json.dumps([asdict(node) for node in nodes]) if options["json"] else _table(nodes, style))
        if code := exit_code(nodes):
            sys.exit(code)


def _table(nodes: list[NodeReport], style: Style) -> str:
    if not nodes:
        return "No cluster with replicas is configured: see GMF_ROUTER."
    columns = [name for name in COLUMNS if {getattr(node, name) for node in nodes} - USUAL.get(name, set[object]())]
    rows = [columns, *([_cell(node, column) for column in columns] for node in nodes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    state = columns.index("state")
    for row, node in zip(padded[1:], nodes, strict=True):
        row[state] = getattr(style, STYLES[node.state])(row[state])
    errors = [f"{node.alias}: {node.error}" for node in nodes if node.error]
    by_time = dict.fromkeys(node.cluster for node in nodes if not node.tells_position)
    return "\n".join([*("  ".join(row).rstrip() for row in padded), *errors, *map(BY_TIME.format, by_time)])


def _cell(node: NodeReport, column: str) -> str:
    value = getattr(node, column)
    if column == "position" and not node.tells_position:
        return "unknown"
    if column == "drained":
        return "yes" if value else "-"
    if value is None:
        return "-"
    if column == "since":
        return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M} UTC"
    return {"share": "{:.0%}", "lag": "{:.1f} s"}.get(column, "{}").format(value)
