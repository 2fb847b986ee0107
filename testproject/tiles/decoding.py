"""What does a vector tile hold? For tests; a browser's map has its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_LAYER, _FEATURE, _KEY, _VALUE, _TAGS, _GEOMETRY = 3, 2, 3, 4, 2, 4
_NAME = 1
_VALUE_STRING = 1


def rows(tile: bytes, layer: str) -> list[dict[str, Any]]:
    """Return the properties of each feature of a layer; of a point also `x` and `y` in units of the tile."""
    for number, content in _fields(tile):
        fields = list(_fields(content))
        if number == _LAYER and (_NAME, layer.encode()) in fields:
            keys = [content.decode() for number, content in fields if number == _KEY]
            values = [_value(content) for number, content in fields if number == _VALUE]
            return [_row(content, keys, values) for number, content in fields if number == _FEATURE]
    return []


def _row(feature: bytes, keys: list[str], values: list[Any]) -> dict[str, Any]:
    fields = dict(_fields(feature))
    tags = list(_varints(fields.get(_TAGS, b"")))
    row = {keys[key]: values[value] for key, value in zip(tags[::2], tags[1::2], strict=True)}
    geometry = list(_varints(fields[_GEOMETRY]))
    x, y = (number >> 1 ^ -(number & 1) for number in geometry[1:3])
    return {**row, "x": x, "y": y}


def _value(content: bytes) -> Any:
    ((number, value),) = _fields(content)
    return value.decode() if number == _VALUE_STRING else value


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        value, at = _varint(content, at)
        if tag & 7:
            value, at = content[at : at + value], at + value
        yield tag >> 3, value


def _varints(content: bytes) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (content[at] & 0x7F) << shift
        if content[at] < 0x80:
            return value, at + 1
        at, shift = at + 1, shift + 7
