"""How do the sample places get into the database?"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.text import slugify

from testproject.places import sample
from testproject.places.models import Place, ShortLink
from testproject.progress import Advance, batches, progress

BATCH = 500


class Command(BaseCommand):
    """Loads what is missing, so that it can run again."""

    help = "Loads the sample places and short links; what is there already stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--count", type=int, default=5000, help="How many places (default: 5000).")

    def handle(self, *, count: int, verbosity: int = 1, **options: Any) -> None:  # noqa: ARG002
        if count < 0:
            raise CommandError(f"--count is {count}: give a number from 0 on.")
        with progress(self.stdout, "Loading places", count, silent=verbosity == 0) as advance:
            new = sum(self.load(batch, advance) for batch in batches(sample.places(count), BATCH))
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


def box_around(town: sample.Town) -> str:
    west, south, east, north = town.lon - 0.1, town.lat - 0.07, town.lon + 0.1, town.lat + 0.07
    return f"/places?bbox={west:.4f},{south:.4f},{east:.4f},{north:.4f}"
