"""Which tests does CI leave out, since the same test on something else of its kind is run?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

import pytest

IS_SOAK = bool(os.environ.get("GMF_SOAK"))
IN_TURN = bool(os.environ.get("CI")) and not IS_SOAK
"""Whether a test of several kinds meets one of them only, in its turn; CI has 35 minutes."""


def keep_in_turn(
    config: pytest.Config, items: list[pytest.Item], own: Iterable[pytest.Item], kinds: Sequence[str]
) -> None:
    """In CI leave out of `items` those of `own` whose kind, a part of their id, is not in its turn."""
    if IN_TURN:
        left_out = set(_out_of_turn(own, kinds))
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


def _out_of_turn(items: Iterable[pytest.Item], kinds: Sequence[str]) -> Iterator[pytest.Item]:
    """Yield the others of each test that is there in all kinds, whatever the order is."""
    found: dict[str, dict[str, pytest.Item]] = {}
    for item in items:
        name, _, parameters = item.nodeid.partition("[")
        text = f"-{parameters.removesuffix(']')}-"
        for kind in kinds:
            if f"-{kind}-" in text:
                found.setdefault(f"{name}[{text.replace(f'-{kind}-', '-')}", {})[kind] = item
    for number, test in enumerate(sorted(found)):
        if len(found[test]) == len(kinds):
            yield from (item for kind, item in found[test].items() if kind != kinds[number % len(kinds)])
