"""What is known of each node of a cluster, as of its last probe or of the last connection that failed?"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.replicas import events
from django_gmf_router.replicas.addresses import AddressBook, Membership
from django_gmf_router.replicas.health import Moment, NodeHealth, State, summary
from django_gmf_router.replicas.latency import Latency
from django_gmf_router.replicas.observer import Answer, Observer
from django_gmf_router.settings.values import ClusterConfig, Role

INTERVALS_TRUSTED = 3
"""For so many, and TIMEOUT, what was heard last is trusted."""
UNRESOLVED = "Its host does not resolve."


class NodeStates:
    """The health of the nodes of one cluster, judged from what probes and requests tell; thread-safe."""

    def __init__(
        self,
        config: ClusterConfig,
        addresses: AddressBook,
        sockets: NodeSockets | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        announces: bool = True,
    ) -> None:
        """Begin with nodes that all count as up.

        `sockets`: what is under way on them; `announces`: whether to log and signal changes.
        """
        self._config = config
        self._sockets = sockets or NodeSockets()
        self._primary = config.primary
        self._clock = clock
        self._wall = wall
        self._announces = announces
        self._trusted_seconds = INTERVALS_TRUSTED * config.health.interval + config.health.timeout
        self._told_outdated = False
        self._told_by_time = False
        self._membership = Membership(addresses, config.replica_aliases)
        balanced = config.balanced_aliases
        self._roles = {config.primary: Role.PRIMARY, **dict.fromkeys(config.replica_aliases, Role.REPLICA)}
        self.snapshot: Mapping[str, NodeHealth] = MappingProxyType(
            {
                alias: NodeHealth(alias=alias, role=role, since=wall(), balanced=alias in balanced)
                for alias, role in self._roles.items()
            }
        )
        """What is known of each node, by alias: never changed, replaced by another."""
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._judged = threading.Condition(self._lock)
        self._judged_at: float | None = None
        # Whether what was known before a pause has not been replaced since, which takes two answers: the first one of a
        # replica may have come before that of the primary, whose position its lag is measured by.
        self._is_waking = False
        self._trusted_until = math.inf
        # How often each node was judged.
        self._counts = dict.fromkeys(self.snapshot, 0)
        known = {alias: health for alias, health in self.snapshot.items() if alias not in self._membership}
        health = self._config.health
        self.latency = Latency(health.slow, self._sockets)
        self._observer = Observer(known, max_lag_seconds=health.max_lag, settle_seconds=health.interval / 2)

    # Read

    def health(self, alias: str) -> NodeHealth:
        """Return what is known of a node.

        Of an alias that is several servers: whether one is up. Of an address that is not watched, not yet or no more:
        nothing, and what is connected to it is stale.
        """
        return self.snapshot.get(alias) or self._new(alias, generation=-1)

    def is_down(self, alias: str) -> bool:
        """Return whether a node is known to be down."""
        return self.health(alias).state == State.DOWN

    def is_outdated(self) -> bool:
        """Return whether nothing was heard of any node for too long: this process stood still, or runs no threads."""
        return self._clock() > self._trusted_until

    def stood_still(self, since: float) -> bool:
        """Return whether nothing was heard of any node since then, in monotonic seconds, though a round was due.

        What took too long meanwhile is no proof against a node: this process got too little of its processor.
        """
        judged_at = self._judged_at
        return judged_at is not None and judged_at < since < self._clock() - self._config.health.interval

    def note_outdated(self) -> None:
        """Log, once, that what is known of the nodes is too old."""
        if not self._told_outdated:
            self._told_outdated = True
            events.monitor_late(self._primary, self._trusted_seconds)

    def members(self, alias: str) -> tuple[str, ...]:
        """Return the nodes of an alias, as far as they are watched; itself where it is one server."""
        return self._membership.nodes(alias)

    def wait(self, rounds: int, timeout_seconds: float) -> bool:
        """Wait until each node was seen to be down, or was judged so often; return whether it came to that."""
        with self._judged:
            return self._judged.wait_for(lambda: self._is_settled(*self.snapshot, rounds=rounds), timeout_seconds)

    def _is_settled(self, *aliases: str, rounds: int = 1) -> bool:
        return all(self._counts[alias] >= (1 if self.is_down(alias) else rounds) for alias in aliases)

    # Told

    def report_failure(self, alias: str, error: str) -> None:
        """Take it that a connection of a request was refused or timed out: the node is down at once.

        `error` is one line without a password.
        """
        self._fail(alias, error)

    def answered(self, *answers: Answer) -> bool:
        """Take what probes read, or the nodes that names have now; return whether other nodes are to be watched.

        All of it is published at once: that costs as much as there are nodes.
        """
        with self._lock:
            self._note_run()
            known = self.snapshot
            changed = [self._take(answer) for answer in answers]
            self._publish()
            # What a primary answers may tell of its replicas, too.
            told = self._changes(known)
        self._announce_all(told)
        return any(changed)

    def compare(self) -> None:
        """Compare the nodes of each pool, once a round: which of them are slow?"""
        now = Moment(monotonic=self._clock(), wall=self._wall())
        with self._lock:
            known, changed = self.snapshot, False
            for node, seconds, is_slow in self.latency.judge(self._pools()):
                before = self._observer.health(node).state
                changed |= self._observer.compare(node, seconds, now, is_slow=is_slow).state != before
                if before == State.SLOW and not is_slow:
                    self._membership.note_return(node)
            # How long each takes is published with the answers of the round.
            if changed:
                self._publish()
            told = self._changes(known)
        self._announce_all(told)

    def late(self, aliases: Iterable[str]) -> None:
        """Take it that probes were not answered in time."""
        with self._lock:
            self._note_run()
        for alias in aliases:
            self._fail(alias, f"It did not answer within {self._config.health.timeout:g} s.")

    def watched(self) -> Iterable[str]:
        """Return the nodes to be probed, and the aliases whose names are to be looked up."""
        return tuple(self._counts)

    def looks_up(self, alias: str) -> bool:
        """Return whether `alias` is several servers, whose name is looked up."""
        return alias in self._membership

    # Inside

    def _note_run(self) -> None:
        now = self._clock()
        if self._judged_at is not None and now - self._judged_at > self._trusted_seconds:
            self._is_waking, self._counts = True, dict.fromkeys(self._counts, 0)
        self._judged_at = now

    def _take(self, answer: Answer) -> bool:
        alias = answer.alias
        if alias not in self._counts:
            return False  # Its name has lost this address meanwhile.
        self._counts[alias] += 1
        if alias in self._membership:
            if not self._membership.replace(alias, answer.reading.members or ()):
                return False
            self._follow_members()
            return True
        if answer.reading.up:
            self.latency.probed(alias, answer.finished_at - answer.started_at)
        generation = self._observer.health(alias).generation
        if self._observer.observe(answer, self._wall()).generation != generation:
            self._membership.note_return(alias)
        return False

    def _fail(self, alias: str, reason: str) -> None:
        now = Moment(monotonic=self._clock(), wall=self._wall())
        with self._lock:
            before = self.snapshot.get(alias)
            if before is None or alias in self._membership:
                return  # What resolved last holds.
            after = self._observer.fail(alias, reason, now)
            self._counts[alias] += 1
            self._publish()
        self._announce(before, after)

    def _follow_members(self) -> None:
        nodes = [node for alias in self._roles for node in self._membership.nodes(alias)]
        known = (self.snapshot.get(node) or self._new(node) for node in nodes)
        self._observer.watch({health.alias: self._membership.placed(health) for health in known})
        self._counts = {name: self._counts.get(name, 0) for name in (*self._roles, *nodes)}

    def _new(self, node: str, generation: int = 0) -> NodeHealth:
        return NodeHealth(alias=node, role=Role.REPLICA, since=self._wall(), generation=generation)

    def _pools(self) -> list[list[str]]:
        """Return the nodes that may serve, by the pool and tier whose reads they share."""
        pools: dict[tuple[str | None, int], list[str]] = {}
        for replica in self._config.replicas:
            nodes = self._membership.nodes(replica.alias)
            pools.setdefault((replica.pool, replica.tier), []).extend(filter(self._may_serve, nodes))
        return list(filter(None, pools.values()))

    def _may_serve(self, node: str) -> bool:
        return self._observer.health(node).state in {State.UP, State.SLOW}

    def _publish(self) -> None:
        # All of them: a position of the primary may tell of a replica that it follows.
        self.snapshot = MappingProxyType({name: self._known(name) for name in self._counts})
        self._is_waking = self._is_waking and not self._is_settled(*self.snapshot, rounds=2)
        if self._judged_at is not None:
            self._trusted_until = -math.inf if self._is_waking else self._judged_at + self._trusted_seconds
        self._judged.notify_all()

    def _known(self, name: str) -> NodeHealth:
        if name not in self._membership:
            return self._observer.health(name)
        before, members = self.snapshot[name], list(map(self._observer.health, self._membership.nodes(name)))
        if not members and self._counts[name]:
            return replace(before, state=State.DOWN, error=UNRESOLVED)
        return summary(before, members, generation=self._membership.changes(name))

    def _changes(self, known: Mapping[str, NodeHealth]) -> list[tuple[NodeHealth, NodeHealth]]:
        nodes = [node for node in self.snapshot if node in known and node not in self._membership]
        return [(known[node], self.snapshot[node]) for node in nodes]

    def _announce_all(self, told: Iterable[tuple[NodeHealth, NodeHealth]]) -> None:
        for before, after in told:
            # Of the others it is told all the same.
            with events.Surviving(after.alias, "telling of a change"):
                self._announce(before, after)

    def _announce(self, before: NodeHealth, after: NodeHealth) -> None:
        # Without the lock: a log handler or receiver may take its time, or ask us.
        if self._announces and before.state != after.state:
            events.announce(self._primary, before, after, max_lag_seconds=self._config.health.max_lag)
        if self._announces and after.dialect and before.dialect != after.dialect:
            self._announce_dialect(after, after.dialect.refused)

    def _announce_dialect(self, health: NodeHealth, refused: tuple[str, ...]) -> None:
        if refused:
            events.facts_refused(self._primary, health, refused)
        if not health.tells_position and not self._told_by_time:
            self._told_by_time = True
            events.by_time(self._primary, health)
