"""WHICH replica serves a unit of work?"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connections

from django_gmf_router.consistency.tokens import Mark
from django_gmf_router.replicas.balancers import Candidates, LeastBusy, Stable, WeightedRandom, with_room
from django_gmf_router.replicas.freshness import Freshness
from django_gmf_router.replicas.health import NodeHealth, State
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig

logger = logging.getLogger("django_gmf_router")

NO_REPLICA = {"event": "no_replica"}


class Tier(NamedTuple):
    """Who serves of the replicas of one tier, and which slow ones beside them are only tried."""

    candidates: Candidates
    slow: Sequence[str] = ()


Tiers = tuple[Tier, ...]
"""The first one serves."""


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
        self._replicas = config.replicas
        self._under_way: dict[str, list[Sized]] = {}
        names = {None, *(replica.pool for replica in config.replicas)}
        self._pools = {name: config.tiers(name) for name in names}
        self._balancer = balancer or self._balancer_named(config.balancer)
        # What is under way on the primary nobody counts.
        self._sharer = WeightedRandom() if isinstance(self._balancer, LeastBusy) else self._balancer
        self.freshness = freshness
        # Who is to stay with a replica stays also while others wait there.
        self._looks_for_room = config.health.slow is not None and not isinstance(self._balancer, Stable)
        self._window_seconds = config.consistency.window
        self._bounded_window_seconds = _bounded_window_seconds(config)
        self._clock = clock
        # The snapshot that was looked at last, and who may serve by it in each pool; replaced in one step.
        self._seen: tuple[object, dict[str | None, Tiers]] = (None, dict.fromkeys(names, ()))

    def pick(
        self, wanted: Wanted | None = None, key: str | None = None, pool: str | None = None
    ) -> tuple[str | None, str]:
        """Return a replica's alias and "", or None and the reason why the primary serves.

        `wanted`: what the client must be able to read; `key`: the client, for balancers that care; `pool`: whose
        replicas are wanted, None for the default pool.
        """
        pools = self._pools
        own = pools[pool] if pool in pools else pools[None]
        if own and self.is_mirrored(own[0][0].alias):
            return self._balancer.pick([(replica.alias, replica.weight) for replica in own[0]], key), ""
        self.monitor.ensure()
        tiers = self._tiers(pool)
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

    def _is_for_primary(self, candidates: Candidates, key: str | None) -> bool:
        """Return whether the primary takes this read as its share."""
        if not self._primary_weight or self.monitor.health(self._primary).state != State.UP:
            return False
        shared = (*candidates, (self._primary, self._primary_weight))
        return self._sharer.pick(shared, key) == self._primary

    def _pick(self, candidates: Candidates, key: str | None) -> str:
        return self._balancer.pick(with_room(candidates, self._busy) if self._looks_for_room else candidates, key)

    def sees(self, node: str, connection: Any, wanted: Wanted) -> bool:
        """Return whether a client may read on a driver's new connection to the replica `node`: it may be asked."""
        return self._is_over(node, wanted) or self.freshness.sees(node, connection, wanted.mark)

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

    def _pick_by_time(self, tiers: Sequence[Candidates], wanted: Wanted, key: str | None) -> str | None:
        over = _among(tiers, lambda alias: self._is_over(alias, wanted))
        return self._pick(over[0], key) if over else None

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
        following = _among(tiers, lambda alias: self.freshness.follows(alias, mark))
        known = _among(following, lambda alias: self.freshness.is_known_to_have(alias, position))
        if known or not following:
            return self._pick(known[0], key) if known else None
        alias = self._pick(following[0], key)
        return alias if self.freshness.has(alias, mark) else None

    def _tiers(self, pool: str | None) -> Tiers:
        """Return who may serve of a pool, of the default pool where there is none of its name."""
        # One comparison where nothing is new: each request comes here.
        snapshot = self.monitor.snapshot
        seen, found = self._seen
        if seen is not snapshot:
            before, found = found, {name: serving(tiers, snapshot) for name, tiers in self._pools.items()}
            if not any(found.values()) and (seen is None or any(before.values())):
                logger.warning("No replica of %s may serve: the primary does.", self._primary, extra=NO_REPLICA)
            # To find out who the members are takes longer than all else here.
            members = {replica.alias: self.monitor.members(replica.alias) for replica in self._replicas}
            self._under_way = {alias: self.monitor.latency.under_way(nodes) for alias, nodes in members.items()}
            self._seen = (snapshot, found)
        return found[pool] if pool in found else found[None]

    def _busy(self, alias: str) -> int:
        return sum(map(len, self._under_way.get(alias, ())))

    def _typical(self, alias: str) -> float | None:
        return self.monitor.snapshot[alias].latency

    def _balancer_named(self, name: str) -> WeightedRandom | Stable | LeastBusy:
        if name == "least_busy":
            return LeastBusy(self._busy, self._typical)
        return Stable() if name == "stable" else WeightedRandom()


def serving(tiers: Sequence[Sequence[ReplicaConfig]], snapshot: Mapping[str, NodeHealth]) -> Tiers:
    """Return who may serve of each tier, slow ones if there is no other there, without the tiers of which none may.

    An old page or a slow one is better than the primary's only where nobody else is left: what lags never serves.
    """
    return tuple(filter(_serves, (_tier(tier, snapshot) for tier in tiers)))


def _serves(tier: Tier) -> bool:
    return bool(tier.candidates)


def _tier(replicas: Sequence[ReplicaConfig], snapshot: Mapping[str, NodeHealth]) -> Tier:
    up, slow = (
        tuple((replica.alias, replica.weight) for replica in replicas if snapshot[replica.alias].state == state)
        for state in (State.UP, State.SLOW)
    )
    return Tier(up, [alias for alias, _ in slow]) if up else Tier(slow)


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
