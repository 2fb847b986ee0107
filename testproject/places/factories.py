"""Where do the tests get places from?"""

from __future__ import annotations

import factory

from testproject.places import sample
from testproject.places.models import Category, Place, ShortLink


class PlaceFactory(factory.django.DjangoModelFactory):
    """A fountain in one town after the other."""

    class Meta:
        model = Place

    class Params:
        town = factory.Iterator(sample.towns())

    name = factory.LazyAttributeSequence(lambda place, number: f"Fontaine {number}, {place.town.name}")
    category = Category.FOUNTAIN
    lon = factory.SelfAttribute("town.lon")
    lat = factory.SelfAttribute("town.lat")


class ShortLinkFactory(factory.django.DjangoModelFactory):
    """A short link to all places."""

    class Meta:
        model = ShortLink

    ref = factory.Sequence(lambda number: f"link-{number}")
    target = "/places"
