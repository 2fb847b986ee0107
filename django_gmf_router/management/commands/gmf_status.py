"""Show the nodes of every cluster: which are up, how far behind, and since when."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_gmf_router.replicas.status import NodeReport, exit_code, statuses
from django_gmf_router.settings import configuration

COLUMNS = ("alias", "role", "state", "lag", "position", "dialect", "since", "pool", "tier", "share", "drained", "error")
BY_TIME = "{}: positions are unknown, so clients that wrote read from the primary for CONSISTENCY['WINDOW']."
FORMATS = {"share": "{:.0%}", "lag": "{:.1f}"}


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
        self.stdout.write(json.dumps([asdict(node) for node in nodes]) if options["json"] else _table(nodes))
        if code := exit_code(nodes):
            sys.exit(code)


def _table(nodes: list[NodeReport]) -> str:
    if not nodes:
        return "No cluster with replicas is configured: see GMF_ROUTER."
    # Most sites have one pool and one tier, and drain nothing.
    idle = {name for name in ("pool", "tier") if not {getattr(node, name) for node in nodes} - {None, 1}}
    idle |= set() if any(node.drained for node in nodes) else {"drained"}
    columns = [column for column in COLUMNS if column not in idle]
    rows = [columns, *([_cell(node, column) for column in columns] for node in nodes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    by_time = dict.fromkeys(node.cluster for node in nodes if not node.tells_position)
    return "\n".join([*(line.rstrip() for line in lines), *map(BY_TIME.format, by_time)])


def _cell(node: NodeReport, column: str) -> str:
    value = getattr(node, column)
    if column == "position" and not node.tells_position:
        return "unknown"
    if column == "drained":
        return "yes" if value else "-"
    if value is None:
        return "-"
    return FORMATS.get(column, "{}").format(value)
