"""Tell what a DRY_RUN has counted: what could move to replicas, and what to look at before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pprint import pformat
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_gmf_router.routing.rehearsal import Rehearsed, View, folder, forget, rehearsed
from django_gmf_router.settings import configuration
from django_gmf_router.settings.values import ClusterConfig

VIEWS_SHOWN = 30


class Command(BaseCommand):
    """`gmf_rehearse [--json] [--forget]`."""

    help = "From a run with DRY_RUN: the share of reads that could move, by view, hazards, and the settings to paste."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the format, and whether to begin anew."""
        parser.add_argument("--json", action="store_true", help="print JSON, a list with an entry for each cluster")
        parser.add_argument("--forget", action="store_true", help="remove what was counted, print nothing")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Print what was counted."""
        if options["forget"]:
            forget()
            return
        try:
            found = [(config, rehearsed(config.primary)) for config in configuration.clusters()]
        except (ImproperlyConfigured, OSError, ValueError) as error:
            raise CommandError(str(error)) from None
        counted = [(config, counts) for config, counts in found if counts.processes]
        if not counted:
            raise CommandError(
                f"Nothing was counted yet in {folder()}: set DRY_RUN in GMF_ROUTER, then run the site or its tests."
            )
        if options["json"]:
            self.stdout.write(json.dumps([counts.as_dict(config) for config, counts in counted]))
        else:
            self.stdout.write("\n\n".join("\n".join(_lines(config, counts)) for config, counts in counted))


def _lines(config: ClusterConfig, found: Rehearsed) -> Iterator[str]:
    views = found.views
    reads, requests = sum(view.reads for view in views), sum(view.requests for view in views)
    since = datetime.fromtimestamp(found.since, tz=timezone.utc).astimezone()
    yield (
        f"{config.primary}: {requests} requests that read, {reads} reads, since {since:%Y-%m-%d %H:%M}, "
        f"processes: {found.processes}"
    )
    yield f"{found.share:.1%} of the reads could move to replicas."
    yield from ("", "requests   reads  replica  view; why the others stay")
    yield from map(_line, views[:VIEWS_SHOWN])
    yield from (f"... and {len(views) - VIEWS_SHOWN} views more: --json" for _ in views[VIEWS_SHOWN : VIEWS_SHOWN + 1])
    if found.writes:
        yield from ("", "Requests that read, and write all the same (all that they read after it stays):")
        for hazard in found.writes:
            instead = "use_primary() in the view: its route matches other pages too"
            yield f"  {hazard.view}: {hazard.what}, {hazard.count} times; master: {hazard.pattern or instead}"
    if found.by_hand:
        yield from ("", "Statements on a connection, which no router sees:")
        for hazard in found.by_hand:
            yield f"  {hazard.what} in {hazard.view}, {hazard.count} times"
    yield from ("", "Reads that a lag would have made wrong, were there no tokens (a client's own writes):")
    yield "  " + ", ".join(f"{lag} s: {count}" for lag, count in found.stale.items())
    yield from ("", "To paste:")
    yield f"GMF_ROUTER[{config.primary!r}] = {pformat(found.settings(config), sort_dicts=False)}"


def _line(view: View) -> str:
    why = ", ".join(f"{reason} {count}" for reason, count in view.primary.items())
    named = f"{view.view}; {why}" if why else view.view
    return f"{view.requests:8} {view.reads:7} {view.replica / view.reads:8.0%}  {named}"
