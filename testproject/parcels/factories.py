"""Where do the tests get parcels from?"""

from __future__ import annotations

import factory
from django.contrib.gis.geos import Polygon

from testproject.parcels import sample
from testproject.parcels.models import Owner, Parcel
from testproject.places.sample import towns


class OwnerFactory(factory.django.DjangoModelFactory):
    """Somebody in one town after the other."""

    class Meta:
        model = Owner

    name = factory.Sequence(lambda number: f"Owner {number}")
    town = factory.Iterator(town.name for town in towns())


class ParcelFactory(factory.django.DjangoModelFactory):
    """A piece of land beside one town after the other, with an owner of its own."""

    class Meta:
        model = Parcel

    class Params:
        corners = factory.Iterator(next(sample.around(town, 1)) for town in towns())

    number = factory.Sequence(lambda number: 1_000_000 + number)
    owner = factory.SubFactory(OwnerFactory)
    geom = factory.LazyAttribute(lambda parcel: Polygon([*parcel.corners, parcel.corners[0]], srid=4326))
