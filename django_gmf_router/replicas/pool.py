"""WHICH replica serves a unit of work?"""

from __future__ import annotations

import hashlib
import logging
import math
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from django_gmf_router.consistency.tokens import Mark
from django_gmf_router.replicas.freshness import Freshness
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig

logger = logging.getLogger("django_gmf_router")

NO_REPLICA = {"event": "no_replica"}
Candidates = tuple[tuple[str, float], ...]
"""Equals to pick from, and their weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client has written in this cluster."""

    mark: Mark
    time: float
    """When it wrote, in seconds of the wall clock."""


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

    def __init__(self, otherwise: WeightedRandom | None = None) -> None:
        """Take how to pick for a client without a key."""
        self._otherwise = otherwise or WeightedRandom()

    def pick(self, candidates: Sequence[tuple[str, float]], key: str | None = None) -> str:
        """Return one alias of `candidates`, pairs of alias and weight; there must be one."""
        if key is None:
            return self._otherwise.pick(candidates)
        return max(candidates, key=lambda pair: _score(key, *pair))[0]


class ReplicaPool:
    """The replicas of one cluster to pick from."""

    def __init__(
        self,
        config: ClusterConfig,
        monitor: Monitor,
        freshness: Freshness,
        *,
        balancer: WeightedRandom | Stable | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the replicas, and who knows which of them may serve; `clock` gives seconds of the wall clock."""
        self.monitor = monitor
        self._primary = config.primary
        self._primary_weight = config.primary_weight
        names = {None, *(replica.pool for replica in config.replicas)}
        self._tiers = {name: tuple(map(weights_of, config.tiers(name))) for name in names}
        self._balancer = balancer or (Stable() if config.balancer == "stable" else WeightedRandom())
        self.freshness = freshness
        self._window_seconds = config.consistency.window
        self._bounded_window_seconds = _bounded_window_seconds(config)
        self._clock = clock
        # The snapshot that was looked at last, and who may serve by it in each pool; replaced in one step.
        self._seen: tuple[object, dict[str | None, tuple[Candidates, ...]]] = (None, self._tiers)

    def pick(
        self, wanted: Wanted | None = None, key: str | None = None, pool: str | None = None
    ) -> tuple[str | None, str]:
        """Return a replica's alias and "", or None and the reason why the primary serves.

        `wanted`: what the client must be able to read; `key`: the client, for balancers that care; `pool`: whose
        replicas are wanted, None for the default pool.
        """
        tiers = self._tiers_of(pool, self._tiers)
        if tiers and self.is_mirrored(tiers[0][0][0]):
            return self._balancer.pick(tiers[0], key), ""
        self.monitor.ensure()
        tiers = self._tiers_of(pool, self._serving())
        if self.monitor.is_outdated():
            self.monitor.note_outdated()
            tiers = ()
        if not tiers:
            return None, "no_replica"
        if pool is None and self._is_for_primary(tiers[0], key):
            return None, "shared"
        if wanted is None:
            return self._balancer.pick(tiers[0], key), ""
        alias = self._pick_caught_up(tiers, wanted.mark, key) or self._pick_by_time(tiers, wanted, key)
        return (alias, "") if alias else (None, "consistency")

    def _is_for_primary(self, candidates: Candidates, key: str | None) -> bool:
        """Return whether the primary takes this read as its share."""
        if not self._primary_weight or self.monitor.health(self._primary).state != State.UP:
            return False
        shared = (*candidates, (self._primary, self._primary_weight))
        return self._balancer.pick(shared, key) == self._primary

    @staticmethod
    def _tiers_of(pool: str | None, tiers: Mapping[str | None, tuple[Candidates, ...]]) -> tuple[Candidates, ...]:
        """Return the tiers of a pool, the default pool's where there is none of its name."""
        return tiers[pool] if pool in tiers else tiers[None]

    def sees(self, node: str, connection: Any, wanted: Wanted) -> bool:
        """Return whether a client may read on a driver's new connection to the replica `node`: it may be asked."""
        return self._is_over(node, wanted) or self.freshness.sees(node, connection, wanted.mark)

    def may_go_on(self, alias: str) -> bool:
        """Return whether the replica that a unit of work has may go on serving it.

        One that is down may too: its connection goes to another node, within a time that all its attempts share. To
        pick anew here would begin that time again, at a node of which nothing is known yet. Where it went must not lag.
        """
        snapshot = self.monitor.snapshot
        health = snapshot.get(self.freshness.node_of(alias), snapshot[alias])
        return health.state != State.LAGGING or self.is_mirrored(alias)

    def primary_is_down(self) -> bool:
        """Return whether the primary is known to be down."""
        return self.monitor.is_down(self._primary)

    def is_mirrored(self, alias: str) -> bool:
        """Return whether this is a test run in which reads of the replica `alias` use the primary's connection.

        A TestCase's rows are in its open transaction on the primary, which no other connection sees.
        """
        # Django's own mark of a test run: setup_test_environment() sets it, teardown_test_environment() removes it. To
        # import the module would load all of django.test into every web process.
        utils = sys.modules.get("django.test.utils")
        return (
            utils is not None
            and hasattr(utils._TestState, "saved_data")
            and connections.settings[alias]["TEST"]["MIRROR"] == self._primary
        )

    def _pick_by_time(self, tiers: Sequence[Candidates], wanted: Wanted, key: str | None) -> str | None:
        over = serving(tiers, lambda alias: self._is_over(alias, wanted))
        return self._balancer.pick(over[0], key) if over else None

    def _is_over(self, node: str, wanted: Wanted) -> bool:
        """Return whether what a client wrote is so long ago that `node` has it, where no position tells."""
        is_by_time = self.freshness.is_by_time(node)
        if wanted.mark.position is not None and not is_by_time:
            return False
        # Where nobody measures the lag, MAX_LAG is no bound to it. While the primary is away, it may have been.
        is_measured = self.monitor.health(node).lag is not None or self.primary_is_down()
        is_bounded = not is_by_time or is_measured
        return self._clock() - wanted.time > (self._bounded_window_seconds if is_bounded else self._window_seconds)

    def _pick_caught_up(self, tiers: Sequence[Candidates], mark: Mark, key: str | None) -> str | None:
        position = mark.position
        if position is None or not self.freshness.is_of_this_history(mark):
            return None
        following = serving(tiers, lambda alias: self.freshness.follows(alias, mark))
        known = serving(following, lambda alias: self.freshness.is_known_to_have(alias, position))
        if known or not following:
            return self._balancer.pick(known[0], key) if known else None
        alias = self._balancer.pick(following[0], key)
        return alias if self.freshness.has(alias, mark) else None

    def _serving(self) -> dict[str | None, tuple[Candidates, ...]]:
        # One comparison where nothing is new: each request comes here.
        snapshot = self.monitor.snapshot
        seen, found = self._seen
        if seen is not snapshot:
            before = found
            found = {
                name: serving(tiers, lambda alias: snapshot[alias].state == State.UP)
                for name, tiers in self._tiers.items()
            }
            if not any(found.values()) and any(before.values()):
                logger.warning("No replica of %s may serve: the primary does.", self._primary, extra=NO_REPLICA)
            self._seen = (snapshot, found)
        return found


def weights_of(tier: Sequence[ReplicaConfig]) -> Candidates:
    """Return the replicas of a tier as candidates."""
    return tuple((replica.alias, replica.weight) for replica in tier)


def serving(tiers: Sequence[Candidates], may_serve: Callable[[str], bool]) -> tuple[Candidates, ...]:
    """Return of each tier those that may serve, without the tiers of which none may."""
    return tuple(filter(None, (tuple(pair for pair in tier if may_serve(pair[0])) for tier in tiers)))


def _bounded_window_seconds(config: ClusterConfig) -> float:
    """Return how long a write whose position is not known keeps its client on the primary.

    Where replicas are known to lag by so much at most, no shorter than that.
    """
    if connections[config.primary].vendor != "postgresql":
        return config.consistency.window
    return max(config.consistency.window, config.health.max_lag + 2 * config.health.interval)


def _score(key: str, alias: str, weight: float) -> float:
    digest = hashlib.blake2b(f"{alias}\0{key}".encode(errors="replace"), digest_size=8).digest()
    fraction = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
    return -weight / math.log(fraction)
