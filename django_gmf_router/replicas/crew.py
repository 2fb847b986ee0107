"""Which threads measure, and who waits for whom?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from django_gmf_router.replicas import events
from django_gmf_router.replicas.observer import Answer
from django_gmf_router.replicas.probes import Reading
from django_gmf_router.replicas.rounds import Rounds

JOIN_SECONDS = 1.0
PROBE_FAILED = Reading(up=False, error="The probe failed: see the log.")


class AnyProbe(Protocol):
    """What measures one node, or looks up a name."""

    def read(self) -> Reading:
        """Measure once; may block."""

    def abort(self) -> None:
        """Let a read that is blocked in another thread fail at once."""

    def is_connected(self) -> bool:
        """Return, in any thread, whether the server has not closed its connection."""

    def close(self) -> None:
        """Close what is open."""


Outbox = SimpleQueue["Answer | Worker | None"]
"""Answers; a worker that has ended; None to wake the reader."""


class Worker:
    """The thread that measures one node whenever it is told to."""

    def __init__(self, alias: str, probe: AnyProbe, outbox: Outbox, clock: Callable[[], float]) -> None:
        """Start the thread."""
        self.probe = probe
        self.alias = alias
        self._outbox = outbox
        self._clock = clock
        self._inbox: SimpleQueue[bool] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name=f"gmf-probe-{alias}", daemon=True)
        self.thread.start()

    def ask(self) -> None:
        """Measure once; the answer goes to the outbox."""
        self._inbox.put(True)

    def end(self) -> None:
        """Close the probe and end the thread after what it is at."""
        self._inbox.put(False)

    def _run(self) -> None:
        try:
            while self._inbox.get():
                self._outbox.put(self._measure())
        finally:
            try:
                self.probe.close()
            finally:
                self._outbox.put(self)

    def _measure(self) -> Answer:
        started_at = self._clock()
        reading = PROBE_FAILED
        with events.Surviving(self.alias, "probing"):
            reading = self.probe.read()
        if reading is PROBE_FAILED:
            self.probe.close()
        return Answer(alias=self.alias, reading=reading, started_at=started_at, finished_at=self._clock())


class Crew:
    """One coordinating thread, and one for each node, from `start` to `end`."""

    def __init__(
        self,
        *,
        cluster: str,
        rounds: Rounds,
        make_probe: Callable[[str], AnyProbe],
        clock: Callable[[], float],
        pause_seconds: float,
        on_answer: Callable[[Answer], None],
        on_late: Callable[[list[str]], None],
        on_end: Callable[[Crew], None],
    ) -> None:
        """Take what the coordinating thread calls: for an answer, for nodes that are late, when it ends."""
        self._cluster = cluster
        self._rounds = rounds
        self._make_probe = make_probe
        self._clock = clock
        self._pause = pause_seconds
        self._on_answer = on_answer
        self._on_late = on_late
        self._on_end = on_end
        self._outbox: Outbox = SimpleQueue()
        self._ended = threading.Event()
        self._workers: dict[str, Worker] = {}
        self.thread = threading.Thread(target=self._run, name=f"gmf-monitor-{cluster}", daemon=True)

    def start(self) -> None:
        """Start the coordinating thread; raises RuntimeError where no thread can be had."""
        self.thread.start()

    def end(self) -> None:
        """Let all threads close their probes and end."""
        self._ended.set()
        self._outbox.put(None)

    def is_connected(self, alias: str) -> bool:
        """Return whether the connection of a node's probe is open."""
        worker = self._workers.get(alias)
        return worker is not None and worker.probe.is_connected()

    def watch(self, aliases: Iterable[str]) -> None:
        """Have these nodes measured from now on; for the coordinating thread alone."""
        wanted = set(aliases)
        self._rounds.watch(wanted)
        for alias in self._workers.keys() - wanted:
            self._send_away(self._workers.pop(alias))

    def _send_away(self, worker: Worker) -> None:
        worker.end()
        if self._rounds.is_busy(worker.alias):
            worker.probe.abort()

    def join(self) -> None:
        """Wait for the threads, not for those that hang in a connection."""
        deadline = self._clock() + JOIN_SECONDS
        self._join(self.thread, deadline)
        for worker in list(self._workers.values()):
            self._join(worker.thread, deadline)

    def _join(self, thread: threading.Thread, deadline: float) -> None:
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - self._clock()))

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                with events.Surviving(self._cluster, "watching") as failure:
                    self._step()
                # What fails at once, time after time, must not keep a processor busy.
                if failure.happened:
                    self._ended.wait(self._pause)
        finally:
            self._on_end(self)
            self._dismiss()

    def _step(self) -> None:
        # What came in while this thread did not run is in time.
        while not self._outbox.empty():
            self._take(self._outbox.get())
        now = self._clock()
        if late := self._rounds.late(now):
            self._give_up(late)
        for alias in self._rounds.begin(now):
            self._worker(alias).ask()
        self._wait(self._rounds.wait_until())

    def _wait(self, until: float) -> None:
        with suppress(Empty):
            self._take(self._outbox.get(timeout=max(0.0, until - self._clock())))
        self._rounds.stood_still(max(0.0, self._clock() - until))

    def _take(self, answer: Answer | Worker | None) -> None:
        if isinstance(answer, Worker):
            # Its thread may still be seen alive: it must not be asked again.
            if self._workers.get(answer.alias) is answer:
                del self._workers[answer.alias]
            self._rounds.answered(answer.alias)
        elif answer is not None and self._rounds.answered(answer.alias):
            self._guarded(self._on_answer, answer)

    def _give_up(self, late: list[str]) -> None:
        self._guarded(self._on_late, late)
        for alias in late:
            if worker := self._workers.get(alias):
                worker.probe.abort()

    def _guarded(self, function: Callable[[Any], None], argument: Any) -> None:
        """Call what may fail; the other nodes must have their turn all the same."""
        with events.Surviving(self._cluster, "telling of a change"):
            function(argument)

    def _worker(self, alias: str) -> Worker:
        worker = self._workers.get(alias)
        if worker is None:
            worker = Worker(alias, self._make_probe(alias), self._outbox, self._clock)
            self._workers[alias] = worker
        return worker

    def _dismiss(self) -> None:
        for worker in self._workers.values():
            self._send_away(worker)
