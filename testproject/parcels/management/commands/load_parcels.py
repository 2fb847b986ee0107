"""How do the sample parcels get into the database?"""

from __future__ import annotations

import random
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import OuterRef, Subquery

from testproject.parcels import sample
from testproject.parcels.models import Owner, Parcel, Region
from testproject.progress import Advance, batches, progress

BATCH = 2000


class Command(BaseCommand):
    """Loads what is missing, so that it can run again."""

    help = "Loads the regions, the sample parcels and their owners; what is there already stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--count", type=int, default=sample.PARCELS, help="How many parcels (default: %(default)s)."
        )

    def handle(self, *, count: int, verbosity: int = 1, **options: Any) -> None:  # noqa: ARG002
        if count < 0:
            raise CommandError(f"--count is {count}: give a number from 0 on.")
        if not Region.objects.exists():
            Region.objects.bulk_create(sample.regions())
        if not Owner.objects.exists():
            Owner.objects.bulk_create(sample.owners(min(count, sample.OWNERS)), batch_size=BATCH)
        self.owners = list(Owner.objects.order_by("pk").values_list("pk", flat=True)[: sample.OWNERS])
        with progress(self.stdout, "Loading parcels", count, silent=verbosity == 0) as advance:
            new = sum(self.load(batch, advance) for batch in batches(sample.parcels(count), BATCH))
        if verbosity:
            self.stdout.write(f"{new} parcels loaded, {count - new} parcels were there.")

    def load(self, batch: list[Parcel], advance: Advance) -> int:
        numbers = [parcel.number for parcel in batch]
        known = set(Parcel.objects.filter(number__in=numbers).values_list("number", flat=True))
        new = [parcel for parcel in batch if parcel.number not in known]
        for parcel in new:
            parcel.owner_id = random.Random(parcel.number).choice(self.owners)
        Parcel.objects.bulk_create(new)
        around = Region.objects.filter(geom__intersects=OuterRef("geom")).order_by("pk").values("pk")[:1]
        Parcel.objects.filter(number__in=[parcel.number for parcel in new]).update(region=Subquery(around))
        advance(len(batch))
        return len(new)
