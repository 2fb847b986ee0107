"""What do readers and writers get while something happens to the machines?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import SERVICE_UNAVAILABLE
from itertools import count

from tests.chaos.load import Answer, Load
from tests.chaos.runs import NOTES, Run, listed
from tests.ha.machines import SITE, Machines
from tests.ha.sites import HaSite
from tests.waiting import until

# A write is taken again so many seconds after Patroni says that there is a leader.
WRITE_SECONDS = 3.0
SLOWEST_SECONDS = 5.0
SERVES_SECONDS = 40.0
NAMES = 3000
_numbers = count(1)


class Election:
    """Readers and writers on every site, while the leader changes."""

    def __init__(self, machines: Machines, sites: list[HaSite], fault: str) -> None:
        self.machines = machines
        self._fault = fault
        self.runs = [Run(site, fault, clients=3, pause_seconds=0.02) for site in sites]
        number = next(_numbers)
        self.writers = [
            Load(
                site.url,
                [f"/change?name={number}-{site.name}-{write}" for write in range(NAMES)],
                clients=1,
                method="POST",
                pause_seconds=0.05,
            )
            for site in sites
        ]
        self.struck_at = self.elected_at = 0.0
        self.leader = machines.wait_for_leader()

    @contextmanager
    def load(self) -> Iterator[None]:
        with ExitStack() as stack:
            for load in (*self.runs, *self.writers):
                stack.enter_context(load)
            for writer in self.writers:
                writer.wait_for(10)
            yield
            for run in self.runs:
                run.go_on()

    def strike(self, fault: Callable[[str], object]) -> str:
        """Let the fault happen to the leader, wait until the next one takes writes, and return the old one."""
        old = self.elect(fault)
        until(lambda: all(map(self._writes_again, self.writers)), 60, "a write is taken again on every site")
        return old

    def elect(self, fault: Callable[[str], object]) -> str:
        """Let the fault happen to the leader, wait until Patroni has another one, and return the old one."""
        old = self.leader
        self.happen(lambda: fault(old))
        self.leader = self.machines.wait_for_leader(other_than=old)
        self.elected_at = time.monotonic()
        return old

    def happen(self, fault: Callable[[], object]) -> None:
        """Let something happen to the machines."""
        self.struck_at = time.monotonic()
        for run in self.runs:
            run.struck_at = self.struck_at
        fault()

    def serves(self, name: str) -> None:
        """Wait until a node serves reads of every site."""
        port, since = self.machines.nodes[name].port, time.monotonic()

        def waiting() -> list[str]:
            return [run.site.name for run in self.runs if not _is_served(run, port, since)]

        until(lambda: not waiting(), SERVES_SECONDS, lambda: f"{name} serves {waiting()}")
        self.note(f"{name} serves all again after {time.monotonic() - since:.1f} s")

    def note(self, text: str) -> None:
        """Keep a line for the report."""
        for run in self.runs:
            run.note(text)

    def _writes_again(self, writer: Load) -> bool:
        return writer.answers[-1].began > self.elected_at and not writer.answers[-1].is_failed

    # What came of it

    def check_reads(self) -> None:
        for run in self.runs:
            run.check(SLOWEST_SECONDS)

    def check_writes(self) -> None:
        """Assert that writes were 503 until the election, and 200 soon after it."""
        for run, writer in zip(self.runs, self.writers, strict=True):
            failed = [answer for answer in writer.answers if answer.is_failed]
            wrong = [answer for answer in failed if answer.status != SERVICE_UNAVAILABLE or not answer.retry_after]
            assert not wrong, f"{run.site.name}: {listed(wrong)}\n{run.site.errors()}"
            self._note_writes(run, writer, failed)
            late = [answer for answer in failed if answer.began > self.elected_at + WRITE_SECONDS]
            assert not late, f"{run.line()}\n{listed(late)}\n{run.site.log()[-6000:]}"

    def _note_writes(self, run: Run, writer: Load, failed: list[Answer]) -> None:
        if failed:
            taken = next(a for a in writer.answers if a.began > failed[-1].began and not a.is_failed)
            run.note(
                f"a leader after {self.elected_at - self.struck_at:.1f} s, {len(failed)} of {len(writer.answers)} "
                f"writes answered 503, taken again {taken.ended - self.elected_at:.2f} s after the election"
            )

    def lost(self) -> list[str]:
        """Return the writes that were acknowledged, and are not there."""
        rows = self.machines.query(self.leader, "SELECT name FROM library_author", SITE)
        there = {name for (name,) in rows}
        return [name for name in self.acknowledged() if name not in there]

    def acknowledged(self) -> list[str]:
        """Return the names of the writes that were answered 200."""
        written = [answer for writer in self.writers for answer in writer.answers if not answer.is_failed]
        return [answer.path.partition("=")[2] for answer in written]

    def refused(self) -> list[Answer]:
        """Return the writes that were not."""
        return [answer for writer in self.writers for answer in writer.answers if answer.is_failed]

    def tell_loss(self) -> None:
        """Keep for the report how many that are."""
        NOTES.append(f"{self._fault}: {len(self.lost())} of {len(self.acknowledged())} acknowledged writes lost")


def _is_served(run: Run, port: int, since: float) -> bool:
    late = (answer for answer in reversed(run.load.answers) if answer.began > since)
    return any(answer.body.get("port") == port for answer in late)
