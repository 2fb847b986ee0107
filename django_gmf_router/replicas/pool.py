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

from django.db import connections

from django_gmf_router.consistency.tokens import Mark
from django_gmf_router.replicas.freshness import Freshness
from django_gmf_router.replicas.health import NodeHealth, State
from django_gmf_router.replicas.latency import Candidate, with_room
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.settings.values import ClusterConfig

logger = logging.getLogger("django_gmf_router")

NO_REPLICA = {"event": "no_replica"}
Candidates = Sequence[Candidate]


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
    """Of two candidates that are picked at random, take the one with fewer reads of this process, then the faster one.

    Both may be the same: so a slower one keeps a share while nothing is under way.
    """

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
        two = (self._random.pick(candidates), self._random.pick(candidates))
        return min(two, key=lambda alias: (self._busy(alias) / weights[alias], self._typical(alias) or 0.0))


class ReplicaPool:
    """The replicas of one cluster to pick from."""

    def __init__(
        self,
        config: ClusterConfig,
        monitor: Monitor,
        freshness: Freshness,
        *,
        balancer: WeightedRandom | Stable | LeastBusy | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the replicas, and who knows which of them may serve; `clock` gives seconds of the wall clock."""
        self.monitor = monitor
        self._primary = config.primary
        self._all = tuple((replica.alias, replica.weight) for replica in config.replicas)
        self._balancer = balancer or self._balancer_named(config.balancer)
        self.freshness = freshness
        self._looks_for_room = config.health.slow is not None
        self._window_seconds = _window_seconds(config)
        self._clock = clock
        # The snapshot that was looked at last, and who may serve by it; replaced in one step.
        self._seen: tuple[object, Candidates, Sequence[str]] = (None, self._all, ())

    def pick(self, wanted: Wanted | None = None, key: str | None = None) -> tuple[str | None, str]:
        """Return a replica's alias and "", or None and the reason why the primary has to serve.

        `wanted`: what the client must be able to read; `key`: the client, for balancers that care.
        """
        if self._all and self.is_mirrored(self._all[0][0]):
            return self._balancer.pick(self._all, key), ""
        self.monitor.ensure()
        candidates, slow = self._candidates()
        if self.monitor.is_outdated():
            self.monitor.note_outdated()
            candidates = ()
        if not candidates:
            return None, "no_replica"
        if self._looks_for_room:
            candidates = with_room(candidates, self._busy)
        # What no position tells of is over with its window.
        is_over = wanted and wanted.mark.position is None and self._clock() - wanted.time > self._window_seconds
        if wanted is None or is_over:
            tried = self.monitor.latency.to_try(slow, self._busy) if slow else None
            return tried or self._balancer.pick(candidates, key), ""
        alias = self._pick_fresh(candidates, wanted.mark, key)
        return (alias, "") if alias else (None, "consistency")

    def may_go_on(self, alias: str, *, for_ever: bool = False) -> bool:
        """Return whether the replica that a unit of work has may go on serving it.

        One that is down may too: its connection goes to another node, within a time that all its attempts share. To
        pick anew here would begin that time again, at a node of which nothing is known yet. Where it went must not lag.
        One that is slow may finish a page, which then sees one node; what goes on for_ever, a worker, leaves it.
        """
        snapshot = self.monitor.snapshot
        health = snapshot.get(self.freshness.node_of(alias), snapshot[alias])
        is_left = health.state == State.LAGGING or (for_ever and health.state == State.SLOW)
        return not is_left or self.is_mirrored(alias)

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

    def _pick_fresh(self, candidates: Candidates, mark: Mark, key: str | None) -> str | None:
        position = mark.position
        if position is None or not self.freshness.is_of_this_history(mark):
            return None
        candidates = tuple(pair for pair in candidates if self.freshness.follows(pair[0], mark))
        known = tuple(pair for pair in candidates if self.freshness.is_known_to_have(pair[0], position))
        if known or not candidates:
            return self._balancer.pick(known, key) if known else None
        alias = self._balancer.pick(candidates, key)
        return alias if self.freshness.has(alias, mark) else None

    def _candidates(self) -> tuple[Candidates, Sequence[str]]:
        """Return who may serve, and which slow ones beside them are only tried."""
        # One comparison where nothing is new: each request comes here.
        snapshot = self.monitor.snapshot
        seen, candidates, slow = self._seen
        if seen is not snapshot:
            candidates, slow = serving(self._all, snapshot)
            if not candidates and self._seen[1]:
                logger.warning("No replica of %s may serve: the primary does.", self._primary, extra=NO_REPLICA)
            self._seen = (snapshot, candidates, slow)
        return candidates, slow

    def _busy(self, alias: str) -> int:
        return self.monitor.latency.busy(self.monitor.members(alias))

    def _typical(self, alias: str) -> float | None:
        return self.monitor.snapshot[alias].latency

    def _balancer_named(self, name: str) -> WeightedRandom | Stable | LeastBusy:
        if name == "least_busy":
            return LeastBusy(self._busy, self._typical)
        return Stable() if name == "stable" else WeightedRandom()


def serving(group: Candidates, snapshot: Mapping[str, NodeHealth]) -> tuple[Candidates, Sequence[str]]:
    """Return who of a group may serve, and which slow ones beside them are only tried; slow ones if there is no other.

    An old page or a slow one is better than the primary's only where nobody else is left: what lags never serves.
    """
    up, slow = (tuple(pair for pair in group if snapshot[pair[0]].state == state) for state in (State.UP, State.SLOW))
    return (up, [alias for alias, _ in slow]) if up else (slow, ())


def _window_seconds(config: ClusterConfig) -> float:
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
