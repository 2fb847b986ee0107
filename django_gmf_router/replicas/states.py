"""What is known of each node of a cluster, as of its last probe or of the last connection that failed?"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.replicas import events
from django_gmf_router.replicas.addresses import AddressBook, Membership
from django_gmf_router.replicas.health import Moment, NodeHealth, State, serving, summary
from django_gmf_router.replicas.latency import Latency
from django_gmf_router.replicas.observer import Answer, Observer
from django_gmf_router.replicas.readings import Steering, newer
from django_gmf_router.settings.values import ClusterConfig, Role

INTERVALS_TRUSTED = 3
"""For so many, and TIMEOUT, what was heard last is trusted."""
UNRESOLVED = "Its host does not resolve."


class Snapshot(dict[str, NodeHealth]):
    """What is known of the nodes, by alias or address."""

    def __missing__(self, node: str) -> NodeHealth:
        """Return nothing of an address that is not watched, not yet or no more: what is connected to it is stale."""
        return NodeHealth(alias=node, role=Role.REPLICA, since=0.0, generation=-1)


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
        self._addresses = addresses
        self._primary = config.primary
        self._clock = clock
        self._wall = wall
        self._announces = announces
        self._trusted_seconds = INTERVALS_TRUSTED * config.health.interval + config.health.timeout
        self._told_by_time = False
        self.steering = Steering()
        """What operators say; the last that was heard holds."""
        self._membership = Membership(addresses, config.replica_aliases)
        balanced = config.balanced_aliases
        self._roles = {config.primary: Role.PRIMARY, **dict.fromkeys(config.replica_aliases, Role.REPLICA)}
        self._pools = config.tiers_by_pool
        self._begin(
            {
                alias: NodeHealth(alias=alias, role=role, since=wall(), balanced=alias in balanced)
                for alias, role in self._roles.items()
            }
        )

    def _begin(self, known: Mapping[str, NodeHealth]) -> None:
        self._lock = threading.RLock()
        self._judged = threading.Condition(self._lock)
        self._judged_at: float | None = None
        # Whether what was known before a pause has not been replaced since, which takes two answers: the first one of a
        # replica may have come before that of the primary, whose position its lag is measured by.
        self._is_waking = False
        self._trusted_until = math.inf
        self._has_heard = False
        # How often each node was judged.
        self._counts = dict.fromkeys(known, 0)
        nodes = {alias: health for alias, health in known.items() if alias not in self._membership}
        health = self._config.health
        self.latency = Latency(health.slow, self._sockets)
        self._observer = Observer(nodes, max_lag_seconds=health.max_lag, settle_seconds=health.interval / 2)
        self.publish(known)

    def publish(self, known: Mapping[str, NodeHealth]) -> None:
        """Show requests what is known of each node, and what follows of it for them.

        All of it is worked out here, once a round, and never changed: a request only looks.
        """
        known = Snapshot(known)
        traffic = self._sockets.traffic
        self.under_way = {alias: [traffic(node).under_way for node in self.members(alias)] for alias in self._roles}
        """By alias the statements of this process that are under way there, as they come and go."""
        self.by_time = {node for node, health in known.items() if not health.tells_position}
        """The nodes that tell no position."""
        # Another site of the database may call a replica what is the primary here.
        self.drained = self.steering.drained - {self._primary}
        """The aliases that operators took out of rotation."""
        self.tiers = {pool: serving(tiers, known, self.drained) for pool, tiers in self._pools.items()}
        """By pool who may serve now."""
        # Last: who sees a new snapshot must not see the tiers before it.
        self.snapshot = MappingProxyType(known)
        """What is known of each node, by alias."""

    # Read

    def health(self, alias: str) -> NodeHealth:
        """Return what is known of a node; of an alias that is several servers: whether one is up."""
        return self.snapshot[alias]

    def is_down(self, alias: str) -> bool:
        """Return whether a node is known to be down."""
        return self.health(alias).state == State.DOWN

    def is_drained(self, node: str) -> bool:
        """Return whether operators took `node` out of rotation, or the alias that it is a server of."""
        return self._addresses.alias_of(node) in self.drained

    def stood_still(self, since: float) -> bool:
        """Return whether nothing was heard of any node since then, in monotonic seconds, though a round was due.

        What took too long meanwhile is no proof against a node: this process got too little of its processor.
        """
        judged_at = self._judged_at
        return judged_at is not None and judged_at < since < self._clock() - self._config.health.interval

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
        with self._telling():
            self._note_run()
            changed = [self._take(answer) for answer in answers]
            self._publish()
        return any(changed)

    def compare(self) -> None:
        """Compare the nodes of each pool, once a round: which of them are slow?"""
        now = Moment(monotonic=self._clock(), wall=self._wall())
        with self._telling():
            changed = False
            for node, seconds, is_slow in self.latency.judge(self._compared()):
                before = self._observer.health(node).state
                changed |= self._observer.compare(node, seconds, now, is_slow=is_slow).state != before
                if before == State.SLOW and not is_slow:
                    self._membership.note_return(node)
            # How long each takes is published with the answers of the round.
            if changed:
                self._publish()

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
        self.steering = newer(self.steering, answer.reading.control, self._config.site)
        if answer.reading.up:
            self.latency.probed(alias, answer.finished_at - answer.started_at)
        generation = self._observer.health(alias).generation
        if self._observer.observe(answer, self._wall()).generation != generation:
            self._membership.note_return(alias)
        return False

    def _fail(self, alias: str, reason: str) -> None:
        now = Moment(monotonic=self._clock(), wall=self._wall())
        with self._telling():
            if alias not in self.snapshot or alias in self._membership:
                return  # What resolved last holds.
            self._observer.fail(alias, reason, now)
            self._counts[alias] += 1
            self._publish()

    def _follow_members(self) -> None:
        nodes = [node for alias in self._roles for node in self._membership.nodes(alias)]
        new = partial(NodeHealth, role=Role.REPLICA, since=self._wall())
        known = (self.snapshot.get(node) or new(alias=node) for node in nodes)
        self._observer.watch({health.alias: self._membership.placed(health) for health in known})
        self._counts = {name: self._counts.get(name, 0) for name in (*self._roles, *nodes)}

    def _compared(self) -> list[list[str]]:
        """Return the nodes that may serve, by the pool and tier whose reads they share."""
        pools: dict[tuple[str | None, int], list[str]] = {}
        for replica in self._config.replicas:
            # What is drained has nothing to do, and is fast.
            nodes = () if replica.alias in self.drained else self._membership.nodes(replica.alias)
            pools.setdefault((replica.pool, replica.tier), []).extend(filter(self._may_serve, nodes))
        return list(filter(None, pools.values()))

    def _may_serve(self, node: str) -> bool:
        return self._observer.health(node).state in {State.UP, State.SLOW}

    def _publish(self) -> None:
        # All of them: a position of the primary may tell of a replica that it follows.
        self.publish({name: self._known(name) for name in self._counts})
        self._has_heard = self._has_heard or self._is_settled(self._primary)
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

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Hold the lock; then tell, without it, what is published of the nodes that is new."""
        with self._lock:
            known, served, said = self.snapshot, any(self.tiers.values()), self.steering
            yield
            # What one node answers may tell of others, too.
            nodes = [node for node in self.snapshot if node in known and node not in self._membership]
            told = [(known[node], self.snapshot[node]) for node in nodes]
            is_last, says = served and not any(self.tiers.values()), self.steering
        if not self._announces:
            return
        if not says.says_the_same(said):
            events.steered(self._primary, says)
        # A log handler or receiver may take its time, or ask us.
        for before, after in told:
            # Of the others it is told all the same.
            with events.Surviving(after.alias, "telling of a change"):
                self._announce(before, after)
        if is_last:
            events.no_replica(self._primary)

    def _announce(self, before: NodeHealth, after: NodeHealth) -> None:
        if before.state != after.state:
            events.announce(self._primary, before, after, max_lag_seconds=self._config.health.max_lag)
        if after.dialect and before.dialect != after.dialect:
            self._announce_dialect(after, after.dialect.refused)

    def _announce_dialect(self, health: NodeHealth, refused: tuple[str, ...]) -> None:
        if refused:
            events.facts_refused(self._primary, health, refused)
        if not health.tells_position and not self._told_by_time:
            self._told_by_time = True
            events.by_time(self._primary, health)
