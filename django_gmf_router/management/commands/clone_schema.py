"""Clone a schema under another name, or in the place of another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, Error, connections

from django_gmf_router import clusters
from django_gmf_router.schemas.cloning import clone
from django_gmf_router.schemas.cloning.building import Progress
from django_gmf_router.schemas.cloning.clone import Result
from django_gmf_router.schemas.cloning.clone_plan import CloneRequest

LINE_SECONDS = 5.0


class Command(BaseCommand):
    """`clone_schema SOURCE TARGET [--replace] [--dry-run] [--rollback] [--keep N]`; 0, or 1 and nothing changed."""

    help = "Clone the schema SOURCE as TARGET, as pg_dump would copy it; exits with 1 if it is refused."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the names and what to do."""
        parser.add_argument("source", metavar="SOURCE")
        parser.add_argument("target", metavar="TARGET")
        parser.add_argument("--replace", action="store_true", help="replace TARGET, kept as TARGET_<timestamp>")
        parser.add_argument("--dry-run", action="store_true", help="print what would be done, and do nothing")
        parser.add_argument("--rollback", action="store_true", help="swap the newest backup of TARGET back")
        parser.add_argument("--keep", type=int, metavar="N", help="drop the backups of TARGET but the N newest")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="the alias of the primary (default: default)")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Do it, and turn what went wrong into one line."""
        try:
            self._check(options)
            if options["rollback"]:
                self._roll_back(options)
            elif options["dry_run"]:
                self.stdout.write("\n".join(clone.explain(options["database"], _request(options))))
            else:
                self._clone(options)
        except KeyboardInterrupt:
            raise CommandError("Interrupted: nothing was changed.") from None
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        except Error as error:
            raise CommandError(" ".join(str(error).split())) from None

    def _check(self, options: dict[str, Any]) -> None:
        alias = options["database"]
        if alias not in connections.settings:
            raise CommandError(
                f"There is no alias {alias!r} in DATABASES: there are {', '.join(connections.settings)}."
            )
        if connections[alias].vendor != "postgresql":
            raise CommandError(f"The alias {alias!r} is not on PostgreSQL, which alone has schemas: name another one.")
        if clusters.of_replica(alias) is not None:
            raise CommandError(f"The alias {alias!r} is a replica: name its primary, the replicas follow.")
        if options["keep"] is not None and options["keep"] < 0:
            raise CommandError(f"--keep {options['keep']} is no number of backups: name 0 or more.")

    def _clone(self, options: dict[str, Any]) -> None:
        began = time.monotonic()
        with progress_on(self.stdout.write, terminal=self.stdout.isatty()) as progress:
            result = clone.clone(options["database"], _request(options), progress)
        self._say(f"{options['target']} is now a copy of {options['source']}", options["target"], result)
        self.stdout.write(f"{result.copied}, in {time.monotonic() - began:.1f} s.")

    def _roll_back(self, options: dict[str, Any]) -> None:
        if options["replace"]:
            raise CommandError("--rollback brings a backup back, --replace makes one: name one of them.")
        if options["dry_run"]:
            self.stdout.write("\n".join(clone.explain_roll_back(options["database"], options["target"])))
            return
        restored, result = clone.roll_back(options["database"], options["target"], options["keep"])
        self._say(f"{restored} is {options['target']} again", options["target"], result)

    def _say(self, done: str, target: str, result: Result) -> None:
        for warning in result.warnings:
            self.stderr.write(f"Warning: {warning}.")
        former = f"; the former {target} is kept as {result.backup}" if result.backup else ""
        if result.backup in result.dropped:
            former = f"; the former {target} is dropped"
        self.stdout.write(f"{done}{former}.")
        for name in result.dropped:
            if name != result.backup:
                self.stdout.write(f"Dropped the backup {name}.")


def _request(options: dict[str, Any]) -> CloneRequest:
    return CloneRequest(
        source=options["source"], target=options["target"], replace=options["replace"], keep=options["keep"]
    )


# How far it is


class Lines:
    """Plain lines: one a step, and one every few seconds of a long step."""

    def __init__(self, write: Callable[[str], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._next = 0.0

    def step(self, text: str) -> None:
        self._next = self._clock() + LINE_SECONDS
        self._write(text)

    def at(self, text: str, part: float) -> None:
        now = self._clock()
        if now >= self._next:
            self._next = now + LINE_SECONDS
            self._write(f"  {part:.0%}: {text}")


class Bar:
    """A bar of rich."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, at="")

    def step(self, text: str) -> None:
        self._bar.update(self._task, description=text, completed=0, total=None, at="")

    def at(self, text: str, part: float) -> None:
        self._bar.update(self._task, completed=part, total=1, at=f"{part:.0%}: {text}")


@contextmanager
def progress_on(write: Callable[[str], Any], *, terminal: bool) -> Iterator[Progress]:
    """Show it on a terminal as a bar where rich is installed, else in lines."""
    try:
        from rich import progress  # noqa: PLC0415  (an extra, and slow to import)
    except ImportError:
        terminal = False
    if not terminal:
        yield Lines(write)
        return
    columns = (
        "{task.description}",
        progress.BarColumn(bar_width=20),
        "{task.fields[at]}",
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, transient=True) as bar:
        yield Bar(bar)
