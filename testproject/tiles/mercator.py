"""Which part of the world does a tile show, and where in it does a place lie?

Tiles are numbered as on the web everywhere: at zoom z the world in Web Mercator is a square of 2**z times 2**z tiles,
(0, 0) in the north-west.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DEEPEST = 22
EXTENT = 4096
"""Into how many units a tile is divided."""
BUFFER = 64
"""How many units beyond its edge a tile holds, so that a symbol on the edge is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One tile. Raises ValueError where the world has no such tile."""

    z: int
    x: int
    y: int

    def __post_init__(self) -> None:
        if not (0 <= self.z <= DEEPEST and 0 <= self.x < 2**self.z and 0 <= self.y < 2**self.z):
            raise ValueError(f"There is no tile {self.z}/{self.x}/{self.y}.")

    def bounds(self) -> tuple[float, float, float, float]:
        """Return minlon, minlat, maxlon, maxlat in degrees, with the buffer."""
        margin = BUFFER / EXTENT
        west, east = (_longitude(self.x + across, self.z) for across in (-margin, 1 + margin))
        south, north = (_latitude(self.y + down, self.z) for down in (1 + margin, -margin))
        return west, south, east, north

    def position(self, lon: float, lat: float) -> tuple[int, int]:
        """Return where a place lies, in units from the tile's north-west."""
        across, down = fractions(lon, lat)
        return round((across * 2**self.z - self.x) * EXTENT), round((down * 2**self.z - self.y) * EXTENT)


def tile_at(z: int, lon: float, lat: float) -> tuple[int, int]:
    """Return the numbers of the tile that shows a place."""
    across, down = fractions(lon, lat)
    return int(across * 2**z), int(down * 2**z)


def fractions(lon: float, lat: float) -> tuple[float, float]:
    """Return where in the world a place lies, from 0 in the north-west to 1."""
    return (lon + 180) / 360, (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2


def _longitude(x: float, z: int) -> float:
    return x / 2**z * 360 - 180


def _latitude(y: float, z: int) -> float:
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y / 2**z))))
