"""How do points become a vector tile? (Mapbox Vector Tile Specification 2.1, in the encoding of Protocol Buffers)

For a machine without PostGIS, whose `ST_AsMVT` does it for every geometry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from testproject.tiles.mercator import EXTENT

CONTENT_TYPE = "application/vnd.mapbox-vector-tile"

_VARINT, _BYTES = 0, 2
# Numbers of the fields in the specification's schema.
_TILE_LAYER = 3
_LAYER_NAME, _LAYER_FEATURE, _LAYER_KEY, _LAYER_VALUE, _LAYER_EXTENT, _LAYER_VERSION = 1, 2, 3, 4, 5, 15
_FEATURE_ID, _FEATURE_TAGS, _FEATURE_TYPE, _FEATURE_GEOMETRY = 1, 2, 3, 4
_VALUE_STRING, _VALUE_UINT = 1, 5
_POINT = 1
_MOVE_TO_ONE = 1 | 1 << 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PointFeature:
    """A point in units of the tile, and what is said of it."""

    id: int
    x: int
    y: int
    properties: Mapping[str, str | int]


def layer(name: str, features: Iterable[PointFeature]) -> bytes:
    """Return a tile of one layer; b"" where it holds nothing."""
    keys: dict[str, int] = {}
    values: dict[str | int, int] = {}
    encoded = [_field(_LAYER_FEATURE, _feature(each, keys, values)) for each in features]
    if not encoded:
        return b""
    parts = [
        _number(_LAYER_VERSION, 2),
        _field(_LAYER_NAME, name.encode()),
        *encoded,
        *(_field(_LAYER_KEY, key.encode()) for key in keys),
        *(_field(_LAYER_VALUE, _value(value)) for value in values),
        _number(_LAYER_EXTENT, EXTENT),
    ]
    return _field(_TILE_LAYER, b"".join(parts))


def _feature(feature: PointFeature, keys: dict[str, int], values: dict[str | int, int]) -> bytes:
    tags = bytearray()
    for key, value in feature.properties.items():
        # Keys and values stand once in the layer, and by their number in each feature.
        tags += _varint(keys.setdefault(key, len(keys))) + _varint(values.setdefault(value, len(values)))
    geometry = _varint(_MOVE_TO_ONE) + _varint(_zigzag(feature.x)) + _varint(_zigzag(feature.y))
    return b"".join(
        [
            _number(_FEATURE_ID, feature.id),
            _field(_FEATURE_TAGS, bytes(tags)),
            _number(_FEATURE_TYPE, _POINT),
            _field(_FEATURE_GEOMETRY, geometry),
        ]
    )


def _value(value: str | int) -> bytes:
    return _field(_VALUE_STRING, value.encode()) if isinstance(value, str) else _number(_VALUE_UINT, value)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else -value * 2 - 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
