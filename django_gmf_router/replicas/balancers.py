"""How is one picked among equal replicas?"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence


class WeightedRandom:
    """Pick at random, each alias in proportion to its weight."""

    def __init__(self, random_fraction: Callable[[], float] = random.random) -> None:
        """Take a source of numbers in [0, 1)."""
        self._random = random_fraction

    def pick(self, candidates: Sequence[tuple[str, float]], key: str | None = None) -> str:  # noqa: ARG002
        """Return one alias of `candidates`, pairs of alias and weight; there must be one."""
        point = self._random() * sum(weight for _, weight in candidates)
        for alias, weight in candidates:
            point -= weight
            if point < 0:
                return alias
        return candidates[-1][0]


class Stable:
    """Pick the same alias for the same client as long as it is a candidate: weighted rendezvous hashing.

    When a candidate goes, only its own clients move; when it comes back, they return. A client without a key is given
    any.
    """

    def __init__(self, otherwise: WeightedRandom) -> None:
        """Take how to pick for a client without a key."""
        self._otherwise = otherwise

    def pick(self, candidates: Sequence[tuple[str, float]], key: str | None = None) -> str:
        """Return one alias of `candidates`, pairs of alias and weight; there must be one."""
        if key is None:
            return self._otherwise.pick(candidates)
        return max(candidates, key=lambda pair: _score(key, *pair))[0]


def _score(key: str, alias: str, weight: float) -> float:
    digest = hashlib.blake2b(f"{alias}\0{key}".encode(errors="replace"), digest_size=8).digest()
    fraction = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
    return -weight / math.log(fraction)
