"""How is one replica picked among equals?"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence

Candidate = tuple[str, float]
"""An alias, and its weight."""
Candidates = Sequence[Candidate]
"""Equals to pick from."""
AT_ONCE, SHARE_AT_ONCE = 2, 1.25
"""So many reads may wait on a node, and so many times its share of all that wait."""


class WeightedRandom:
    """Pick at random, each alias in proportion to its weight."""

    def __init__(self, random_fraction: Callable[[], float] = random.random) -> None:
        """Take a source of numbers in [0, 1)."""
        self._random = random_fraction

    def pick(self, candidates: Candidates, key: str | None = None) -> str:  # noqa: ARG002
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

    def __init__(self, otherwise: WeightedRandom | None = None) -> None:
        """Take how to pick for a client without a key."""
        self._otherwise = otherwise or WeightedRandom()

    def pick(self, candidates: Candidates, key: str | None = None) -> str:
        """Return one alias of `candidates`, pairs of alias and weight; there must be one."""
        if key is None:
            return self._otherwise.pick(candidates)
        return max(candidates, key=lambda pair: _score(key, *pair))[0]


class LeastBusy:
    """Of two candidates picked at random take the one with fewer reads of this process, then the faster one."""

    def __init__(
        self,
        busy: Callable[[str], int],
        typical: Callable[[str], float | None],
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        """Take how many reads are under way on an alias, and how many seconds one typically takes, None: unknown."""
        self._busy = busy
        self._typical = typical
        self._random = WeightedRandom(random_fraction)

    def pick(self, candidates: Candidates, key: str | None = None) -> str:  # noqa: ARG002
        """Return one alias of `candidates`, pairs of alias and weight; there must be one."""
        weights = dict(candidates)
        first, second = self._random.pick(candidates), self._random.pick(candidates)
        others = [pair for pair in candidates if pair[0] != first]
        rival = self._random.pick(others) if second == first and others else second
        busy = {alias: self._busy(alias) / weights[alias] for alias in (first, rival)}
        if busy[first] != busy[rival]:
            return min(busy, key=lambda alias: busy[alias])
        # Where chance names one twice it is taken: so a slower one keeps a share while nothing is under way.
        return min((first, second), key=lambda alias: self._typical(alias) or 0.0)


def with_room(candidates: Sequence[Candidate], busy: Callable[[str], int]) -> Sequence[Candidate]:
    """Return the candidates on which not too many of this process' reads wait: at least one."""
    waiting = [busy(alias) for alias, _ in candidates]
    if (total := sum(waiting)) < AT_ONCE:
        return candidates
    share = SHARE_AT_ONCE * (total + 1) / sum(weight for _, weight in candidates)
    pairs = zip(candidates, waiting, strict=True)
    return [candidate for candidate, count in pairs if count < max(AT_ONCE, share * candidate[1])]


def _score(key: str, alias: str, weight: float) -> float:
    digest = hashlib.blake2b(f"{alias}\0{key}".encode(errors="replace"), digest_size=8).digest()
    fraction = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
    return -weight / math.log(fraction)
