"""Which places are there to begin with?"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count, islice
from pathlib import Path

from testproject.places.models import Category, Place

TOWNS = Path(__file__).with_name("towns.csv")
SPREAD_DEGREES = 0.035
NAMES = {
    Category.FOUNTAIN: {"de": "Brunnen", "fr": "Fontaine", "it": "Fontana"},
    Category.SCHOOL: {"de": "Schulhaus", "fr": "École", "it": "Scuola"},
    Category.PHARMACY: {"de": "Apotheke", "fr": "Pharmacie", "it": "Farmacia"},
    Category.PLAYGROUND: {"de": "Spielplatz", "fr": "Place de jeux", "it": "Parco giochi"},
    Category.VIEWPOINT: {"de": "Aussichtspunkt", "fr": "Point de vue", "it": "Belvedere"},
    Category.BUS_STOP: {"de": "Haltestelle", "fr": "Arrêt de bus", "it": "Fermata"},
    Category.RECYCLING: {"de": "Sammelstelle", "fr": "Déchetterie", "it": "Ecocentro"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A real town; longitude and latitude in degrees, WGS 84."""

    name: str
    language: str
    lon: float
    lat: float


@cache
def towns() -> tuple[Town, ...]:
    with TOWNS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        Town(name=row["name"], language=row["language"], lon=float(row["lon"]), lat=float(row["lat"])) for row in rows
    )


def places(number: int) -> Iterator[Place]:
    """Yield the first `number` places, always the same ones: the towns, then what stands around them."""
    known = (Place(name=town.name, category=Category.TOWN, lon=town.lon, lat=town.lat) for town in towns())
    yield from islice(known, number)
    yield from islice(around_the_towns(), max(0, number - len(towns())))


def around_the_towns() -> Iterator[Place]:
    # One after the other in every town, so that a small number is spread over the map as well.
    for turn in count():
        category = list(NAMES)[turn % len(NAMES)]
        for town in towns():
            yield neighbour(town, category, turn // len(NAMES) + 1)


def neighbour(town: Town, category: Category, house: int) -> Place:
    name = f"{NAMES[category][town.language]} {house}, {town.name}"
    dice = random.Random(name)
    return Place(
        name=name,
        category=category,
        lon=round(dice.gauss(town.lon, SPREAD_DEGREES * 1.4), 5),
        lat=round(dice.gauss(town.lat, SPREAD_DEGREES), 5),
    )
