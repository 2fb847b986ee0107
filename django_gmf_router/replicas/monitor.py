"""How is each node of a cluster, as of the last second?

Read by reference from the snapshot; measured by daemon threads that start with the first routed read, never before,
since threads die where a server forks.
"""

from __future__ import annotations

import atexit
import os
import random
import time
from collections.abc import Callable, Mapping
from weakref import WeakSet

from django_gmf_router.postgres import concurrency
from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.replicas import events
from django_gmf_router.replicas.addresses import AddressBook, Lookup
from django_gmf_router.replicas.health import NodeHealth
from django_gmf_router.replicas.probe_threads import ProbeThreads, Rounds
from django_gmf_router.replicas.probes import Probe
from django_gmf_router.replicas.readings import Steering
from django_gmf_router.replicas.states import NodeStates
from django_gmf_router.settings.values import ClusterConfig

# A site that seeds the module's numbers, as tests do, must not find them used by a thread.
OWN_RANDOM = random.SystemRandom()

PRIMARY_SECONDS = 0.5
"""How long a process that begins waits for a primary that hangs, before it reads from a replica."""

MakeProbe = Callable[[str, float, Mapping[str, str]], Probe]
"""Makes the probe of an alias, with the time-out in seconds and the driver's parameters of one of its servers."""


class Monitor(NodeStates):
    """The health of the nodes of one cluster, measured in threads; thread-safe, and works in a forked child."""

    def __init__(
        self,
        config: ClusterConfig,
        addresses: AddressBook | None = None,
        sockets: NodeSockets | None = None,
        *,
        probe: MakeProbe = Probe,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        jitter: Callable[[float, float], float] = OWN_RANDOM.uniform,
        announces: bool = True,
    ) -> None:
        """Start nothing yet.

        `addresses`: of the aliases that are several servers; `sockets`: what is freed when a node does not answer in
        time; `announces`: whether to log and signal.
        """
        self._probe = probe
        self._jitter = jitter
        self._stopped = self._told_outdated = False
        super().__init__(config, addresses or AddressBook({}), sockets, clock=clock, wall=wall, announces=announces)
        _MONITORS.add(self)
        concurrency.on_fork(self.begin_in_child)

    def is_connected(self, alias: str) -> bool:
        """Return whether the server that was asked last still runs: its connection is open, by one system call."""
        threads = self._threads
        return threads is not None and threads.is_connected(alias)

    def ensure(self) -> None:
        """Start the threads unless they run: first of all, after a fork, after a thread died."""
        # The process is compared here, and not by `look_for_fork`: this is on the way of each first read of a request.
        if self._threads is None or not self._threads.run or self._pid != os.getpid():
            self._start()

    def get_to_know(self, alias: str) -> None:
        """Wait until a node that nobody has asked yet was judged: it may be a stranger, and nobody must read there.

        For a thread that is about to connect to a replica: the probe connects at the same time. A node that does not
        answer costs TIMEOUT at most, its primary PRIMARY_SECONDS. Not for an alias that is several servers, of which
        others answer.
        """
        if self._threads is None or self._is_settled(alias) or alias in self._membership:
            return
        with self._judged:
            self._judged.wait_for(lambda: self._is_settled(alias, self._primary), PRIMARY_SECONDS)
            self._judged.wait_for(lambda: self._is_settled(alias), self._config.health.timeout)

    def hear(self) -> Steering:
        """Return what operators say; in a process that begins wait until its primary was asked, for TIMEOUT at most.

        For who is about to write: after a restart in maintenance the first write must not slip through.
        """
        self.ensure()
        if self._threads is not None and not self._has_heard:
            with self._judged:
                self._judged.wait_for(lambda: self._has_heard, self._config.health.timeout)
            self._has_heard = True
        return self.steering

    def report_failure(self, alias: str, error: str) -> None:
        """Take it that a connection of a request was refused or timed out: the node is down, and watched from now on.

        `error` is one line without a password.
        """
        super().report_failure(alias, error)
        # A process that routes no read, as a worker with `.using()`, has not begun: who would see the node come back?
        self.ensure()

    def stop(self) -> None:
        """End the threads and close their connections, for good."""
        concurrency.look_for_fork()
        with self._lock:
            self._stopped, threads = True, self._threads
        if threads is not None:
            threads.end()
            threads.join()

    def begin_in_child(self) -> None:
        """Forget the parent's threads and locks, not what they knew."""
        # Kept, since their connections are the parent's: nothing of them may be closed here.
        _INHERITED.append(self._threads)
        if self._threads is not None:
            self._threads.abandon()
        self._begin(self.snapshot)

    def is_outdated(self) -> bool:
        """Return whether nothing was heard of any node for too long: this process stood still, or runs no threads."""
        return self._clock() > self._trusted_until

    def note_outdated(self) -> None:
        """Log, once, that what is known of the nodes is too old."""
        if not self._told_outdated:
            self._told_outdated = True
            events.monitor_late(self._primary, self._trusted_seconds)

    def _begin(self, known: Mapping[str, NodeHealth]) -> None:
        super()._begin(known)
        self._pid = os.getpid()
        self._threads: ProbeThreads | None = None
        self._retry_at = 0.0

    def _start(self) -> None:
        concurrency.look_for_fork()
        # Once more: a server may have patched the process after the clusters were built.
        concurrency.refuse_blocking(self._primary)
        health = self._config.health
        with self._lock:
            # Requests come here at the same time: the second one finds them running.
            runs = self._threads is not None and self._threads.run
            if self._stopped or runs or self._clock() < self._retry_at:
                return
            rounds = Rounds(
                self.watched(),
                interval_seconds=health.interval,
                timeout_seconds=health.timeout,
                jitter=self._jitter,
            )
            threads = ProbeThreads(
                self,
                rounds,
                self._sockets,
                cluster=self._primary,
                make_probe=self._make_probe,
                clock=self._clock,
                pause_seconds=health.interval,
            )
            try:
                threads.start()
            except RuntimeError as error:
                # No more threads, or the interpreter is ending: the request goes on without.
                self._retry_at = self._clock() + health.interval
                events.monitor_error(self._primary, "starting", error)
                return
            self._threads = threads

    def _make_probe(self, node: str) -> Probe | Lookup:
        if self.looks_up(node):
            return Lookup(self._addresses, node)
        return self._probe(self._addresses.alias_of(node), self._config.health.timeout, self._addresses.params(node))


_MONITORS: WeakSet[Monitor] = WeakSet()
_INHERITED: list[ProbeThreads | None] = []


def _stop_all() -> None:
    for monitor in list(_MONITORS):
        monitor.stop()


atexit.register(_stop_all)
