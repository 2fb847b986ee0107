"""How do the sample places get into the database?"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.text import slugify

from testproject.places import sample
from testproject.places.models import Place, ShortLink

BATCH = 500
Advance = Callable[[int], None]


class Command(BaseCommand):
    """Loads what is missing, so that it can run again."""

    help = "Loads the sample places and short links; what is there already stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--count", type=int, default=5000, help="How many places (default: 5000).")

    def handle(self, *, count: int, verbosity: int = 1, **options: Any) -> None:  # noqa: ARG002
        if count < 0:
            raise CommandError(f"--count is {count}: give a number from 0 on.")
        with self.progress(count, silent=verbosity == 0) as advance:
            new = sum(self.load(batch, advance) for batch in batches(sample.places(count)))
        links = self.load_links()
        if verbosity:
            self.stdout.write(f"{new} places and {links} short links loaded, {count - new} places were there.")

    def load(self, batch: list[Place], advance: Advance) -> int:
        names = [place.name for place in batch]
        known = set(Place.objects.filter(name__in=names).values_list("name", flat=True))
        new = [place for place in batch if place.name not in known]
        Place.objects.bulk_create(new)
        advance(len(batch))
        return len(new)

    def load_links(self) -> int:
        """Make a short link for each town, to what is around it."""
        return sum(
            ShortLink.objects.get_or_create(ref=slugify(town.name), defaults={"target": box_around(town)})[1]
            for town in sample.towns()
        )

    @contextmanager
    def progress(self, total: int, *, silent: bool) -> Iterator[Advance]:
        """Show a bar with rich, lines without it or where nobody watches."""
        if silent:
            yield lambda _number: None
        elif (bar := rich_bar()) and self.stdout.isatty():
            with bar:
                task = bar.add_task("Loading places", total=total)
                yield lambda number: bar.advance(task, number)
        else:
            yield self.line_by_line(total)

    def line_by_line(self, total: int) -> Advance:
        done = 0

        def advance(number: int) -> None:
            nonlocal done
            done += number
            self.stdout.write(f"Loading places: {done} of {total}")

        return advance


def rich_bar() -> Any:
    try:
        from rich.progress import Progress  # noqa: PLC0415  optional
    except ImportError:
        return None
    return Progress()


def batches(places: Iterable[Place]) -> Iterator[list[Place]]:
    iterator = iter(places)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def box_around(town: sample.Town) -> str:
    west, south, east, north = town.lon - 0.1, town.lat - 0.07, town.lon + 0.1, town.lat + 0.07
    return f"/places?bbox={west:.4f},{south:.4f},{east:.4f},{north:.4f}"
