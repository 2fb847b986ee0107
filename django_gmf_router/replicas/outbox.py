"""How is one node asked, in a thread where that may block, and how does its answer come back?"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from django_gmf_router.replicas import events
from django_gmf_router.replicas.addresses import Lookup
from django_gmf_router.replicas.observer import Answer
from django_gmf_router.replicas.probes import Probe
from django_gmf_router.replicas.readings import Reading

PROBE_FAILED = Reading(up=False, error="The probe failed: see the log.")


class ProbeThread:
    """The thread that measures one node, or looks up one name, whenever that may block.

    Who tells it to may ask the node alone, once it is connected: to wake a thread for each costs most of the watching.
    """

    def __init__(self, alias: str, probe: Probe | Lookup, outbox: Outbox, clock: Callable[[], float]) -> None:
        """Start the thread."""
        self.probe = probe
        self.alias = alias
        self._outbox = outbox
        self._clock = clock
        self._inbox: SimpleQueue[bool] = SimpleQueue()
        self._sent_at: float | None = None
        self.thread = threading.Thread(target=self._run, name=f"gmf-probe-{alias}", daemon=True)
        self.thread.start()

    def ask(self) -> bool:
        """Measure once; return whether the thread has to, whose answer goes to the outbox. Else `look` for it."""
        self._sent_at = self._clock()
        if not self.probe.send():
            self.ask_in_thread()
        return self._sent_at is None

    def ask_in_thread(self) -> None:
        """Measure once in the thread."""
        self._sent_at = None
        self._inbox.put(True)

    def look(self) -> Answer | None:
        """Return the answer of the node that was asked, None while it is not there."""
        if self._sent_at is None:
            return None
        reading: Reading | None = PROBE_FAILED
        with events.Surviving(self.alias, "probing"):
            reading = self.probe.receive()
        if reading is None:
            return None
        answer = Answer(alias=self.alias, reading=reading, started_at=self._sent_at, finished_at=self._clock())
        self._sent_at = None
        return answer

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
        # Where it stands after an error of ours nobody knows: the next one connects anew.
        if reading is PROBE_FAILED:
            self.probe.close()
        return Answer(alias=self.alias, reading=reading, started_at=started_at, finished_at=self._clock())


class Outbox:
    """What is on its way to the coordinating thread: answers, and threads that have ended."""

    def __init__(self, awaited: Callable[[], int]) -> None:
        """Take what says how many answers are still to come."""
        self._awaited = awaited
        self._items: deque[Answer | ProbeThread] = deque()
        self._woken: SimpleQueue[None] = SimpleQueue()

    def put(self, item: Answer | ProbeThread) -> None:
        """Hand in; wake the reader for the last answer of a round, and for what cannot wait for that."""
        self._items.append(item)
        # Once a round: to be woken for each answer cost most of the watching.
        if isinstance(item, ProbeThread) or not item.reading.up or len(self._items) >= self._awaited():
            self.wake()

    def wake(self) -> None:
        """Let the reader look now."""
        self._woken.put(None)

    def wait(self, timeout_seconds: float | None = None) -> None:
        """Wait for what cannot wait; with a time-out, for so long at most."""
        with suppress(Empty):
            self._woken.get(timeout=timeout_seconds)

    def take(self) -> list[Answer | ProbeThread]:
        """Return all that has come in."""
        # So many as there are now: what comes meanwhile is for the next look.
        return [self._items.popleft() for _ in range(len(self._items))]
