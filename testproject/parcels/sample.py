"""Which parcels are there to begin with? Real regions, invented land and people."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from functools import partial
from itertools import islice

from django.contrib.gis.geos import MultiPolygon, Polygon

from testproject.parcels.models import WGS84, Owner, Parcel, Region
from testproject.places import boundaries
from testproject.places.sample import Town, towns

PARCELS = 50_000
OWNERS = 8_000
METRES_PER_DEGREE = 111_320.0
WIDTH, DEPTH = 24.0, 34.0
"""Of a parcel, in metres."""
STREET = 9.0
ROWS_PER_STREET, COLUMNS_PER_STREET = 2, 8
ROUGHNESS = 2.5
"""By how many metres a corner may lie off."""
FIRST_NAMES = [
    "Anna",
    "Beat",
    "Carla",
    "Daniel",
    "Elena",
    "François",
    "Giulia",
    "Hans",
    "Irène",
    "Jean",
    "Katrin",
    "Luca",
    "Maria",
    "Nicolas",
    "Olivia",
    "Peter",
    "Quentin",
    "Regula",
    "Stefan",
    "Teresa",
    "Urs",
    "Valérie",
    "Werner",
    "Yvonne",
]
LAST_NAMES = [
    "Aebischer",
    "Bianchi",
    "Caduff",
    "Dubois",
    "Egger",
    "Favre",
    "Gerber",
    "Huber",
    "Imhof",
    "Jaquet",
    "Keller",
    "Lüthi",
    "Meier",
    "Nussbaum",
    "Odermatt",
    "Pedrini",
    "Rochat",
    "Schmid",
    "Tobler",
    "Ulrich",
    "Vogel",
    "Widmer",
    "Ziegler",
    "Zumstein",
]

Corner = tuple[float, float]


def regions() -> Iterator[Region]:
    """Yield all of them."""
    for each in boundaries.regions()["features"]:
        polygons = [Polygon(*rings, srid=WGS84) for rings in each["geometry"]["coordinates"]]
        yield Region(geom=MultiPolygon(polygons, srid=WGS84), **each["properties"])


def owners(number: int) -> Iterator[Owner]:
    """Yield the first `number` people, always the same ones."""
    dice = random.Random("owners")
    for _ in range(number):
        name = f"{dice.choice(FIRST_NAMES)} {dice.choice(LAST_NAMES)}"
        yield Owner(name=name, town=dice.choice(towns()).name)


def parcels(number: int) -> Iterator[Parcel]:
    """Yield the first `number` parcels without their owners, always the same ones: so many around each town."""
    each_town = math.ceil(number / len(towns()))
    everywhere = (corners for town in towns() for corners in around(town, each_town))
    for count, corners in enumerate(islice(everywhere, number), start=1):
        yield Parcel(number=count, geom=Polygon([*corners, corners[0]], srid=WGS84))


def around(town: Town, number: int) -> Iterator[list[Corner]]:
    """Yield the corners of parcels in rows along streets, beside the town's centre."""
    dice = random.Random(f"parcels of {town.name}")
    place = partial(_placed, town, dice.uniform(0, math.pi / 2))
    side = math.ceil(math.sqrt(number))
    # Neighbours share their corners, so that nothing lies between two of them.
    rough = {
        (column, row): (dice.uniform(-ROUGHNESS, ROUGHNESS), dice.uniform(-ROUGHNESS, ROUGHNESS))
        for column in range(side + 1)
        for row in range(side + 1)
    }

    def corner(column: int, row: int, right: int, up: int) -> Corner:
        x = column * WIDTH + column // COLUMNS_PER_STREET * STREET + right * WIDTH
        y = row * DEPTH + row // ROWS_PER_STREET * STREET + up * DEPTH
        off_x, off_y = rough[column + right, row + up]
        return place(x - side * WIDTH / 2 + off_x, y - side * DEPTH / 2 + off_y)

    for count in range(number):
        row, column = divmod(count, side)
        yield [corner(column, row, right, up) for right, up in ((0, 0), (1, 0), (1, 1), (0, 1))]


def _placed(town: Town, angle: float, x: float, y: float) -> Corner:
    """Return longitude and latitude of a point that is so many metres off the town's centre."""
    east = x * math.cos(angle) - y * math.sin(angle)
    north = x * math.sin(angle) + y * math.cos(angle)
    lon = town.lon + east / METRES_PER_DEGREE / math.cos(math.radians(town.lat))
    return round(lon, 7), round(town.lat + north / METRES_PER_DEGREE, 7)
