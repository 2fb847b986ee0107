"""How is each node of a cluster, as of the last second?

Read by reference from the snapshot; measured by daemon threads that start with the first routed read, never before,
since threads die where a server forks.
"""

from __future__ import annotations

import atexit
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace
from types import MappingProxyType
from weakref import WeakSet

from django_gmf_router.replicas import events
from django_gmf_router.replicas.addresses import Lookup
from django_gmf_router.replicas.crew import AnyProbe, Crew
from django_gmf_router.replicas.health import Moment, NodeHealth, State, summary
from django_gmf_router.replicas.membership import LookUp, Membership
from django_gmf_router.replicas.observer import Answer, Observer
from django_gmf_router.replicas.probes import Probe
from django_gmf_router.replicas.rounds import Rounds
from django_gmf_router.settings.values import Role

Change = Callable[[NodeHealth, NodeHealth], object]
"""Takes the health before and after; called in the thread that noticed."""


UNRESOLVED = "Its host does not resolve."
# A site that seeds the module's numbers, as tests do, must not find them used by a thread.
OWN_RANDOM = random.SystemRandom()


class Monitor:
    """The health of the nodes of one cluster; thread-safe, and works in a forked child."""

    def __init__(
        self,
        *,
        primary: str,
        replicas: Iterable[str],
        balanced: Set[str] = frozenset(),
        interval_seconds: float = 1.0,
        timeout_seconds: float = 2.0,
        max_lag_seconds: float = 10.0,
        probe_factory: Callable[[str, float], AnyProbe] = Probe,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        jitter: Callable[[float, float], float] = OWN_RANDOM.uniform,
        on_hang: Callable[[str], object] | None = None,
        announces: bool = True,
        look_up: Mapping[str, LookUp] | None = None,
    ) -> None:
        """Start nothing yet.

        balanced: aliases that are more than one server; look_up: for those of them whose host can be looked up, what
        answers their nodes, called in a thread of its own.

        probe_factory: makes the probe of an alias with the time-out in seconds; on_hang: called with the alias of a
        node each time its probe was not answered in time, after it was put down; announces: whether to log and signal.
        """
        self.primary = primary
        self._interval = interval_seconds
        self._timeout = timeout_seconds
        self._max_lag = max_lag_seconds
        self._probe_factory = probe_factory
        self._clock = clock
        self._wall = wall
        self._jitter = jitter
        self._on_hang: Callable[[str], object] = on_hang or _nothing
        self._announces = announces
        self._membership = Membership(look_up or {})
        self._callbacks: tuple[Change, ...] = ()
        since = wall()
        self._roles = roles = {primary: Role.PRIMARY, **dict.fromkeys(replicas, Role.REPLICA)}
        self.snapshot: Mapping[str, NodeHealth] = MappingProxyType(
            {
                alias: NodeHealth(alias=alias, role=role, since=since, balanced=alias in balanced)
                for alias, role in roles.items()
            }
        )
        """What is known of each node, by alias: never changed, replaced by another."""
        self._stopped = False
        self._crew: Crew | None = None
        self._begin()
        _MONITORS.add(self)

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

    def members(self, alias: str) -> tuple[str, ...]:
        """Return the nodes of an alias, as far as they are watched; itself where it is one server."""
        return self._membership.nodes(alias)

    def is_connected(self, alias: str) -> bool:
        """Return whether the server that was asked last still runs: its connection is open, by one system call."""
        crew = self._crew
        return crew is not None and crew.is_connected(alias)

    def on_change(self, callback: Change) -> None:
        """Call back whenever a node's state or generation has changed."""
        self._callbacks = (*self._callbacks, callback)

    def wait(self, rounds: int, timeout_seconds: float) -> bool:
        """Wait until each node was seen to be down, or was probed so often; return whether it came to that."""
        with self._judged:
            return self._judged.wait_for(lambda: self._is_settled(rounds), timeout_seconds)

    # Run

    def ensure(self) -> None:
        """Start the threads unless they run: first of all, after a fork, after a thread died."""
        if not self._runs:
            self._start()

    def stop(self) -> None:
        """End the threads and close their connections, for good."""
        with self._lock:
            self._stopped, crew = True, self._crew
        if crew is not None:
            crew.end()
            crew.join()

    # Told by requests

    def report_failure(self, alias: str, error: str, timed_out: bool = False) -> None:
        """Take it that a connection of a request was refused or timed out: the node is down at once.

        `error` is one line without a password.
        """
        self._fail(alias, error or ("It timed out." if timed_out else "It refused a connection."))

    # Inside

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._judged = threading.Condition(self._lock)
        self._counts = dict.fromkeys(self.snapshot, 0)
        self._crew = None
        self._runs = False
        self._retry_at: float | None = None
        known = {alias: health for alias, health in self.snapshot.items() if alias not in self._membership}
        self._observer = Observer(known, max_lag_seconds=self._max_lag, settle_seconds=self._interval / 2)

    def begin_in_child(self) -> None:
        """Forget the parent's threads and locks, not what they knew."""
        # Kept, since their connections are the parent's: nothing of them may be closed here.
        _INHERITED.append(self._crew)
        self._begin()

    def _start(self) -> None:
        with self._lock:
            if self._stopped or self._runs or self._clock() < (self._retry_at or 0.0):
                return
            crew = self._make_crew()
            try:
                crew.start()
            except RuntimeError as error:
                # No more threads, or the interpreter is ending: the request goes on without.
                self._retry_at = self._clock() + self._interval
                events.monitor_error(self.primary, "starting", error)
                return
            self._crew, self._runs = crew, True

    def _make_crew(self) -> Crew:
        rounds = Rounds(
            self.snapshot,
            interval_seconds=self._interval,
            timeout_seconds=self._timeout,
            jitter=self._jitter,
        )
        return Crew(
            cluster=self.primary,
            rounds=rounds,
            make_probe=self._make_probe,
            clock=self._clock,
            pause_seconds=self._interval,
            on_answer=self._answered,
            on_late=self._late,
            on_end=self._ended,
        )

    def _make_probe(self, alias: str) -> AnyProbe:
        if alias in self._membership:
            return Lookup(self._membership.look_up[alias])
        return self._probe_factory(alias, self._timeout)

    def _ended(self, crew: Crew) -> None:
        with self._lock:
            if crew is self._crew:
                self._runs = False

    def _answered(self, answer: Answer) -> None:
        with self._lock:
            before = self.snapshot.get(answer.alias)
            if before is None:
                return  # Its name has lost this address meanwhile.
            after = before
            if answer.alias not in self._membership:
                after = self._observer.observe(answer, self._wall())
                if after.generation != before.generation:
                    self._membership.note_return(after.alias)
            elif self._membership.replace(answer.alias, answer.reading.members or ()):
                self._watch_members()
            self._publish(answer.alias)
        self._tell(before, after)

    def _watch_members(self) -> None:
        """Watch the nodes that the aliases have now."""
        nodes = [node for alias in self._roles for node in self._membership.nodes(alias)]
        known = (self.snapshot.get(node) or self._new(node) for node in nodes)
        self._observer.watch({health.alias: self._membership.placed(health) for health in known})
        self._counts = {name: self._counts.get(name, 0) for name in (*self._roles, *nodes)}
        if self._crew is not None:
            self._crew.watch(self._counts)

    def _late(self, late: list[str]) -> None:
        # First all states, then the rescues: a read that is freed must not go on to another node that hangs.
        for alias in late:
            self._fail(alias, f"It did not answer within {self._timeout:g} s.")
        for alias in late:
            with events.Surviving(self.primary, "freeing what hangs"):
                self._on_hang(alias)

    def _fail(self, alias: str, reason: str) -> None:
        now = Moment(monotonic=self._clock(), wall=self._wall())
        with self._lock:
            before = self.snapshot.get(alias)
            if before is None or alias in self._membership:
                return  # What resolved last holds.
            after = self._observer.fail(alias, reason, now)
            self._publish(alias)
        self._tell(before, after)

    def _new(self, node: str, generation: int = 0) -> NodeHealth:
        return NodeHealth(alias=node, role=Role.REPLICA, since=self._wall(), generation=generation)

    def _publish(self, alias: str) -> None:
        self._counts[alias] += 1
        # All of them: a position of the primary may tell of a replica that it follows.
        self.snapshot = MappingProxyType({name: self._known(name) for name in self._counts})
        self._judged.notify_all()

    def _known(self, name: str) -> NodeHealth:
        if name not in self._membership:
            return self._observer.health(name)
        before, members = self.snapshot[name], list(map(self._observer.health, self._membership.nodes(name)))
        if not members and self._counts[name]:
            return replace(before, state=State.DOWN, error=UNRESOLVED)
        return summary(before, members, generation=self._membership.changes(name))

    def _tell(self, before: NodeHealth, after: NodeHealth) -> None:
        # Without the lock: a log handler or receiver may take its time, or ask us.
        if (before.state, before.generation) == (after.state, after.generation):
            return
        for callback in self._callbacks:
            with events.Surviving(self.primary, "calling back"):
                callback(before, after)
        if self._announces:
            events.announce(self.primary, before, after, max_lag_seconds=self._max_lag)

    def _is_settled(self, rounds: int) -> bool:
        return all(self._counts[alias] >= (1 if node.is_down else rounds) for alias, node in self.snapshot.items())


_MONITORS: WeakSet[Monitor] = WeakSet()
_INHERITED: list[Crew | None] = []


def _nothing(_alias: str) -> None:
    """Free nothing."""


def _after_fork() -> None:
    for monitor in list(_MONITORS):
        monitor.begin_in_child()


def _stop_all() -> None:
    for monitor in list(_MONITORS):
        monitor.stop()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_stop_all)
