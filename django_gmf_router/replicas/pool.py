"""WHICH replica serves a unit of work? Who may, and how one is picked among equals."""

from __future__ import annotations

import hashlib
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from django_gmf_router.consistency.tokens import Mark
from django_gmf_router.replicas.freshness import Freshness
from django_gmf_router.replicas.health import Candidate, Candidates, State
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.readings import Steering
from django_gmf_router.settings.values import ClusterConfig

AT_ONCE, SHARE_AT_ONCE = 2, 1.25
"""So many reads may wait on a node, and so many times its share of all that wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client has written in this cluster."""

    mark: Mark
    time: float
    """When it wrote, in seconds of the wall clock."""


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
        self._primary_weight = config.primary_weight
        self._pools = config.tiers_by_pool
        self._has_replicas = bool(config.replicas)
        self._share = config.share
        self._first, *_ = (*config.replica_aliases, config.primary)
        self._balancer = balancer or self._balancer_named(config.balancer)
        # What is under way on the primary nobody counts.
        self._sharer = WeightedRandom() if isinstance(self._balancer, LeastBusy) else self._balancer
        self.freshness = freshness
        # Who is to stay with a replica stays also while others wait there, or are connected.
        self._stays = isinstance(self._balancer, Stable)
        self._looks_for_room = config.health.slow is not None and not self._stays
        self._window_seconds = config.consistency.window
        self._bounded_window_seconds = _bounded_window_seconds(config)
        self._clock = clock

    def pick(
        self, wanted: Wanted | None = None, key: str | None = None, pool: str | None = None
    ) -> tuple[str | None, str]:
        """Return a replica's alias and "", or None and the reason why the primary serves.

        `wanted`: what the client must be able to read; `key`: the client, for balancers that care; `pool`: whose
        replicas are wanted, None for the default pool.
        """
        # A pool that no replica has is the default pool.
        name = pool if pool in self._pools else None
        own = self._pools[name]
        if own and self.is_mirrored(own[0][0].alias):
            return self._balancer.pick([(replica.alias, replica.weight) for replica in own[0]], key), ""
        self.monitor.ensure()
        tiers = self.monitor.tiers[name]
        if self.monitor.is_outdated():
            self.monitor.note_outdated()
            tiers = ()
        if not tiers:
            return None, "no_replica"
        if pool is None and self._is_for_primary(tiers[0].candidates, key):
            return None, "shared"
        if wanted is None:
            slow = tiers[0].slow
            tried = self.monitor.latency.to_try(slow, self._busy) if slow else None
            return tried or self._pick(tiers[0].candidates, key), ""
        candidates = [tier.candidates for tier in tiers]
        alias = self._pick_caught_up(candidates, wanted.mark, key) or self._pick_by_time(candidates, wanted, key)
        return (alias, "") if alias else (None, "consistency")

    def share(self) -> float:
        """Return the part of the clients that replicas serve, 0 to 1: as an operator says, else by the settings."""
        share = self._share if (steered := self.monitor.steering.share) is None else steered
        # No pick may come that would begin to watch the nodes, which tell what operators say.
        if share < 1 and not self.is_mirrored():
            self.monitor.ensure()
        return share

    def steering(self) -> Steering:
        """Return what operators say, for who is about to write; a process that begins may wait a moment for it."""
        return self.monitor.steering if self.is_mirrored() else self.monitor.hear()

    def is_in_maintenance(self) -> bool:
        """Return whether requests may only read, as far as this process has heard."""
        return self.monitor.steering.maintenance

    def _is_for_primary(self, candidates: Candidates, key: str | None) -> bool:
        """Return whether the primary takes this read as its share."""
        if not self._primary_weight or self.monitor.snapshot[self._primary].state != State.UP:
            return False
        shared = (*candidates, (self._primary, self._primary_weight))
        return self._sharer.pick(shared, key) == self._primary

    def _pick(self, candidates: Candidates, key: str | None) -> str:
        return self._balancer.pick(with_room(candidates, self._busy) if self._looks_for_room else candidates, key)

    def sees(self, node: str, connection: Any, wanted: Wanted) -> bool:
        """Return whether a client may read on a driver's new connection to the replica `node`: it may be asked."""
        return self._is_over(node, wanted) or self.freshness.sees(node, connection, wanted.mark)

    def may_go_on(self, alias: str, *, for_ever: bool = False, streams: bool = False) -> bool:
        """Return whether the replica that a unit of work has may go on serving it.

        One that is down may too: its connection goes to another node, within a time that all its attempts share. To
        pick anew here would begin that time again, at a node of which nothing is known yet. Where it went must not lag.
        One that is slow may finish a page, which then sees one node; what goes on for_ever, a worker, leaves it. One
        that is drained is left by what streams, too: a page may be sent for hours.
        """
        if self.is_mirrored(alias):
            return True
        snapshot, node = self.monitor.snapshot, self.freshness.node_of(alias)
        if (for_ever or streams) and (self.monitor.is_drained(alias) or self.monitor.is_drained(node)):
            return False
        health = snapshot.get(node, snapshot[alias])
        return not (health.state == State.LAGGING or (for_ever and health.state == State.SLOW))

    def primary_is_down(self) -> bool:
        """Return whether the primary is known to be down."""
        return self.monitor.snapshot[self._primary].state == State.DOWN

    def is_mirrored(self, alias: str | None = None) -> bool:
        """Return whether this is a test run in which reads of a replica, the first, use the primary's connection.

        A TestCase's rows are in its open transaction on the primary, which no other connection sees. A replica that is
        only imagined has none.
        """
        if not self._has_replicas:
            return True
        return is_test_run() and connections.settings[alias or self._first]["TEST"]["MIRROR"] == self._primary

    def watch(self) -> None:
        """Let the nodes be watched, for who asks how they are and reads nothing; not where tests have their rows."""
        if not (is_test_run() and self.is_mirrored()):
            self.monitor.ensure()

    def _pick_by_time(self, tiers: Sequence[Candidates], wanted: Wanted, key: str | None) -> str | None:
        over = _among(tiers, lambda alias: self._is_over(alias, wanted))
        return self._pick(over[0], key) if over else None

    def _is_over(self, node: str, wanted: Wanted) -> bool:
        """Return whether what a client wrote is so long ago that `node` has it, where no position tells."""
        is_by_time = self.freshness.is_by_time(node)
        if wanted.mark.position is not None and not is_by_time:
            return False
        # Where nobody measures the lag, MAX_LAG is no bound to it. While the primary is away, it may have been.
        is_measured = self.monitor.snapshot[node].lag is not None or self.primary_is_down()
        is_bounded = not is_by_time or is_measured
        return self._clock() - wanted.time > (self._bounded_window_seconds if is_bounded else self._window_seconds)

    def _pick_caught_up(self, tiers: Sequence[Candidates], mark: Mark, key: str | None) -> str | None:
        position = mark.position
        if position is None or not self.freshness.is_of_this_history(mark):
            return None
        following = _among(tiers, lambda alias: self.freshness.follows(alias, mark))
        known = _among(following, lambda alias: self.freshness.is_known_to_have(alias, position))
        if known or not following:
            return self._pick(known[0], key) if known else None
        asked = following[0] if self._stays else self.freshness.connected(following[0])
        alias = self._pick(asked, key)
        return alias if self.freshness.has(alias, mark) else None

    def _busy(self, alias: str) -> int:
        return sum(map(len, self.monitor.under_way[alias]))

    def _balancer_named(self, name: str) -> WeightedRandom | Stable | LeastBusy:
        if name == "least_busy":
            return LeastBusy(self._busy, lambda alias: self.monitor.snapshot[alias].latency)
        return Stable() if name == "stable" else WeightedRandom()


def is_test_run() -> bool:
    """Return whether Django's test environment is set up in this process."""
    # Django's own mark: setup_test_environment() sets it, teardown_test_environment() removes it. To import the module
    # would load all of django.test into every web process.
    utils = sys.modules.get("django.test.utils")
    return utils is not None and hasattr(utils._TestState, "saved_data")


def _among(tiers: Sequence[Candidates], may_serve: Callable[[str], bool]) -> Sequence[Candidates]:
    """Return of each tier those that may serve, without the tiers of which none may."""
    return [found for tier in tiers if (found := tuple(pair for pair in tier if may_serve(pair[0])))]


def _bounded_window_seconds(config: ClusterConfig) -> float:
    """Return how long a write whose position is not known keeps its client on the primary.

    Where replicas are known to lag by so much at most, no shorter than that.
    """
    if connections[config.primary].vendor != "postgresql":
        return config.consistency.window
    return max(config.consistency.window, config.health.max_lag + 2 * config.health.interval)


# The balancers


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
