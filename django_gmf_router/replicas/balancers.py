"""How is one picked among equal replicas?"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence


class WeightedRandom:
    """Pick at random, each alias in proportion to its weight."""

    def __init__(self, random_fraction: Callable[[], float] = random.random) -> None:
        """Take a source of numbers in [0, 1)."""
        self._random = random_fraction

    def pick(self, candidates: Sequence[tuple[str, float]]) -> str:
        """Answer one alias of `candidates`, pairs of alias and weight; there must be one."""
        point = self._random() * sum(weight for _, weight in candidates)
        for alias, weight in candidates:
            point -= weight
            if point < 0:
                return alias
        return candidates[-1][0]
