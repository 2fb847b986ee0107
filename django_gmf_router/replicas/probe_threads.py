"""Which threads measure the nodes of a cluster, when is each asked, and when is its answer late?"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable

from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.postgres.sqlstates import is_dead
from django_gmf_router.replicas import events
from django_gmf_router.replicas.addresses import Lookup
from django_gmf_router.replicas.observer import Answer
from django_gmf_router.replicas.outbox import Outbox, ProbeThread
from django_gmf_router.replicas.probes import Probe
from django_gmf_router.replicas.states import NodeStates

JITTER = (0.8, 1.0)
"""Of the interval, never above it: budgets are promised in intervals."""


class Rounds:
    """The times of the rounds; a node that has not answered yet is left out, and holds up no other.

    Times are monotonic seconds.
    """

    def __init__(
        self,
        aliases: Iterable[str],
        *,
        interval_seconds: float,
        timeout_seconds: float,
        jitter: Callable[[float, float], float],
    ) -> None:
        """Take the nodes; the first round is due at once."""
        self._aliases = tuple(aliases)
        self._interval = interval_seconds
        self._timeout = timeout_seconds
        self._jitter = jitter
        self._next: float | None = None
        self._busy: set[str] = set()
        self._deadlines: dict[str, float] = {}
        self._extended: set[str] = set()

    def watch(self, aliases: Iterable[str]) -> None:
        """Ask these nodes from now on, and no others."""
        self._aliases = tuple(aliases)

    def begin(self, now: float) -> list[str]:
        """Begin a round if one is due; return the nodes to be asked now."""
        if self._next is not None and now < self._next:
            return []
        # The processes of a site begin together, at a restart: the jitter spreads what they ask.
        self._next = now + self._interval * self._jitter(*JITTER)
        asked = [alias for alias in self._aliases if alias not in self._busy]
        self._busy.update(asked)
        self._extended.difference_update(asked)
        self._deadlines.update(dict.fromkeys(asked, now + self._timeout))
        return asked

    def answered(self, alias: str) -> bool:
        """Note that a node can be asked again; return whether it was in time."""
        self._busy.discard(alias)
        return self._deadlines.pop(alias, None) is not None

    def awaited(self) -> int:
        """Return, in any thread, how many nodes may still answer in time."""
        return len(self._deadlines)

    def is_awaited(self, alias: str) -> bool:
        """Return whether a node may still answer in time."""
        return alias in self._deadlines

    def is_busy(self, alias: str) -> bool:
        """Return whether a node was asked and has not answered, late or not."""
        return alias in self._busy

    def give_up_late(self, now: float, more_seconds: Callable[[str], float]) -> list[str]:
        """Give up the nodes whose time is over, each once; return them.

        `more_seconds`: how much more a node has a right to, asked when its time is over.
        """
        for alias in {alias for alias, deadline in self._deadlines.items() if deadline <= now} - self._extended:
            # Once: it has the time of all its addresses then, and would be given it again and again.
            self._extended.add(alias)
            self._deadlines[alias] += more_seconds(alias)
        late = [alias for alias, deadline in self._deadlines.items() if deadline <= now]
        for alias in late:
            del self._deadlines[alias]
        return late

    def wait_until(self) -> float:
        """Return when there is something to do without an answer."""
        return min([self._next or 0.0, *self._deadlines.values()])

    def stood_still(self, seconds: float) -> None:
        """Give the nodes the time in which this process did not run: what was late then was not theirs."""
        for alias in self._deadlines:
            self._deadlines[alias] += seconds


JOIN_SECONDS = 1.0
GATHERING_SECONDS = 0.02
"""How long an answer without bad news waits for those of other nodes: each wake-up costs as much as there are nodes."""
TOGETHER, BREATH_SECONDS = 8, 0.002
"""So many nodes are asked at once, and the next ones so much later."""


class ProbeThreads:
    """One coordinating thread, and one for each node, from `start` to `end`."""

    def __init__(
        self,
        states: NodeStates,
        rounds: Rounds,
        sockets: NodeSockets,
        *,
        cluster: str,
        make_probe: Callable[[str], Probe | Lookup],
        clock: Callable[[], float],
        pause_seconds: float,
    ) -> None:
        """Take who judges what is read, and what hangs on a node; `cluster` names the threads."""
        self._states = states
        self._rounds = rounds
        self._sockets = sockets
        self._cluster = cluster
        self._make_probe = make_probe
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._outbox = Outbox(rounds.awaited)
        self._ended = threading.Event()
        self._threads: dict[str, ProbeThread] = {}
        # How long until this thread looks again: short at first for what it asked itself, since most take no longer.
        self._look_seconds = GATHERING_SECONDS
        self.thread = threading.Thread(target=self._run, name=f"gmf-monitor-{cluster}", daemon=True)
        self.run = True
        """Whether the coordinating thread is there, or about to begin."""

    def start(self) -> None:
        """Start the coordinating thread; raise RuntimeError where no thread can be had."""
        self.thread.start()

    def end(self) -> None:
        """Let all threads close their probes and end."""
        self._ended.set()
        self._outbox.wake()

    def abandon(self) -> None:
        """Ask nothing more, in a child process: the connections are its parent's, and must not even be closed.

        gevent's threads go on in a child. Any other's are not there, and may have held a lock: none is taken.
        """
        self.run = False
        self._threads = {}

    def join(self) -> None:
        """Wait for the threads, not for those that hang in a connection."""
        deadline = self._clock() + JOIN_SECONDS
        for thread in (self.thread, *(probing.thread for probing in list(self._threads.values()))):
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - self._clock()))

    def is_connected(self, alias: str) -> bool:
        """Return whether the connection of a node's probe is open."""
        thread = self._threads.get(alias)
        return thread is not None and thread.probe.is_connected()

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                with events.Surviving(self._cluster, "watching") as failure:
                    self._step()
                # What fails at once, time after time, must not keep a processor busy.
                if failure.happened:
                    self._ended.wait(self._pause_seconds)
        finally:
            self.run = False
            for thread in self._threads.values():
                self._send_away(thread)

    def _step(self) -> None:
        if not self.run:
            # Abandoned; not ended, since gevent complains loudly of a thread that ends in a child.
            self._outbox.wait()
            return
        # What came in while this thread did not run is in time.
        self._take([*self._outbox.take(), *self._received()])
        now = self._clock()
        if late := self._rounds.give_up_late(now, lambda alias: self._connecting_seconds(alias) or 0.0):
            self._give_up(late)
        asked = self._rounds.begin(now)
        if asked:
            with events.Surviving(self._cluster, "comparing"):
                self._states.compare()
            self._ask(asked)
        until = self._rounds.wait_until()
        longest = self._look_seconds if self._rounds.awaited() else math.inf
        self._look_seconds = min(2 * self._look_seconds, GATHERING_SECONDS)
        self._outbox.wait(max(0.0, min(longest, until - self._clock())))
        self._rounds.stood_still(max(0.0, self._clock() - until))

    def _ask(self, asked: list[str]) -> None:
        self._look_seconds = GATHERING_SECONDS
        woken = 0
        for alias in asked:
            with events.Surviving(alias, "starting its thread") as failure:
                if self._asked(alias).ask():
                    woken += 1
                else:
                    self._look_seconds = BREATH_SECONDS
            if failure.happened:
                # Not asked, so not late: it has its turn in the next round, and those after it in this one.
                self._rounds.answered(alias)
            # Threads that wait for the interpreter wake up time after time, so not all of them at once.
            if woken == TOGETHER:
                woken = 0
                self._outbox.wait(BREATH_SECONDS)

    def _received(self) -> list[Answer]:
        """Return the answers of the nodes that this thread has asked."""
        found = [answer for thread in self._threads.values() if (answer := thread.look()) is not None]
        for answer in found:
            if not answer.reading.up:
                self._ask_again(answer)
        return [answer for answer in found if answer.reading.up]

    def _ask_again(self, answer: Answer) -> None:
        """Let the thread of a node find out what is the matter, unless its time is over."""
        thread = self._threads[answer.alias]
        if self._rounds.is_awaited(answer.alias):
            thread.ask_in_thread()
        else:
            thread.probe.close()
            self._rounds.answered(answer.alias)

    def _take(self, items: Iterable[Answer | ProbeThread]) -> None:
        answers = []
        for item in items:
            is_in_time = self._rounds.answered(item.alias)
            if isinstance(item, Answer) and is_in_time:
                answers.append(item)
            # Its thread may still be seen alive: it must not be asked again.
            elif self._threads.get(item.alias) is item:
                del self._threads[item.alias]
        if not answers:
            return
        # What may fail is caught: the nodes must have their next turn all the same.
        with events.Surviving(self._cluster, "telling of a change"):
            if self._states.answered(*answers):
                self._watch(self._states.watched())
        for answer in answers:
            self._free_if_dead(answer)

    def _free_if_dead(self, answer: Answer) -> None:
        """Free all that hangs on a node that is dead; what connected after the question is not meant."""
        if not answer.reading.up and is_dead(answer.reading.error or "") and self._states.is_down(answer.alias):
            self._sockets.shut(answer.alias, answer.started_at)

    def _watch(self, aliases: Iterable[str]) -> None:
        self._rounds.watch(aliases)
        for alias in self._threads.keys() - set(aliases):
            self._send_away(self._threads.pop(alias))

    def _give_up(self, late: list[str]) -> None:
        # A probe that is late while it connects says nothing of the sessions that there are.
        hanging = [alias for alias in late if self._connecting_seconds(alias) is None]
        # First all states, then the rescues: a read that is freed must not go on to another node that hangs.
        with events.Surviving(self._cluster, "telling of a change"):
            self._states.late(late)
        for alias in late:
            if alias in hanging:
                with events.Surviving(self._cluster, "freeing what hangs"):
                    self._sockets.free(alias)
            if thread := self._threads.get(alias):
                thread.probe.abort()

    def _connecting_seconds(self, alias: str) -> float | None:
        thread = self._threads.get(alias)
        return None if thread is None else thread.probe.connecting_seconds

    def _asked(self, alias: str) -> ProbeThread:
        thread = self._threads.get(alias)
        if thread is None:
            thread = ProbeThread(alias, self._make_probe(alias), self._outbox, self._clock)
            self._threads[alias] = thread
        return thread

    def _send_away(self, thread: ProbeThread) -> None:
        thread.end()
        if self._rounds.is_busy(thread.alias):
            thread.probe.abort()
