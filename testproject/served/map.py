"""Where do the places lie in a picture?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from testproject.places.models import Category, Place

WIDTH = 960
LABELLED = {"Zürich", "Genève", "Basel", "Lausanne", "Bern", "Luzern", "St. Gallen", "Lugano", "Chur", "Sion"}
_BOX = (5.75, 45.65, 10.35, 48.15)  # minlon, minlat, maxlon, maxlat: Switzerland and its neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The points of one category, as the data of one SVG path."""

    category: Category
    path: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A town's name and its point."""

    name: str
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacesMap:
    """A picture of `width` times `height` units."""

    layers: list[Layer]
    labels: list[Label]
    width: int
    height: int


def places_map(places: Iterable[Place]) -> PlacesMap:
    """Draw `places`, with a degree of longitude as long as it is in the middle of the map."""
    points: dict[str, list[str]] = defaultdict(list)
    labels = []
    for place in places:
        x, y = position(place.lon, place.lat)
        points[place.category].append(f"M{x:.1f} {y:.1f}h0")
        if place.category == Category.TOWN and place.name in LABELLED:
            labels.append(Label(name=place.name, x=round(x, 1), y=round(y, 1)))
    layers = [
        Layer(category=category, path="".join(points[category]), count=len(points[category]))
        for category in reversed(Category)
        if points[category]
    ]
    return PlacesMap(layers=layers, labels=labels, width=WIDTH, height=round(position(_BOX[2], _BOX[1])[1]))


def position(lon: float, lat: float) -> tuple[float, float]:
    minlon, minlat, maxlon, maxlat = _BOX
    units = WIDTH / (maxlon - minlon)
    stretch = 1 / math.cos(math.radians((minlat + maxlat) / 2))
    return (lon - minlon) * units, (maxlat - lat) * units * stretch
