"""What do readers and writers notice of an election? Patroni, etcd and HAProxy, by the files of docs/examples/ha."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import pytest

from tests.chaos.load import Answer, Load
from tests.chaos.runs import Run
from tests.chaos.waiting import until
from tests.ha.machines import NODES, SITE, Machines
from tests.ha.sites import HaSite

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
        self.leader = ""

    @contextmanager
    def load(self) -> Iterator[None]:
        with ExitStack() as stack:
            for load in (*self.runs, *self.writers):
                stack.enter_context(load)
            for writer in self.writers:
                writer.wait_for(10)
            yield

    def strike(self, fault: Callable[[str], object]) -> str:
        """Let the fault happen to the leader, wait for the next one, and answer the old one."""
        old = self.machines.wait_for_leader()
        self.struck_at = time.monotonic()
        for run in self.runs:
            run.struck_at = self.struck_at
        fault(old)
        self.leader = self.machines.wait_for_leader(other_than=old)
        self.elected_at = time.monotonic()
        for writer in self.writers:
            until(lambda: self.writes_again(writer), 60, lambda: "a write is taken again")
        return old

    def serves(self, name: str) -> None:
        """Wait until a node serves reads of every site."""
        port, since = self.machines.nodes[name].port, time.monotonic()
        for run in self.runs:
            seen = len(run.load.answers)
            until(
                lambda: any(answer.body.get("port") == port for answer in run.load.answers[seen:]),
                SERVES_SECONDS,
                lambda: f"{name} on port {port} serves {run.site.name}",
            )
            run.note(f"the old leader serves after {time.monotonic() - since:.1f} s")

    def writes_again(self, writer: Load) -> bool:
        return writer.answers[-1].began > self.elected_at and not writer.answers[-1].is_failed

    # What came of it

    def check_reads(self) -> None:
        for run in self.runs:
            run.check(SLOWEST_SECONDS)

    def check_writes(self) -> None:
        """Assert that writes were 503 until the election, and 200 soon after it."""
        for run, writer in zip(self.runs, self.writers, strict=True):
            failed = [answer for answer in writer.answers if answer.is_failed]
            assert all(answer.status == 503 and int(answer.retry_after or 0) >= 1 for answer in failed), (
                f"{run.site.name}: {[str(answer) for answer in failed if answer.status != 503][:5]}\n{run.site.errors()}"
            )
            again = next(a for a in writer.answers if a.ended > self.struck_at and not a.is_failed and a not in failed)
            run.note(
                f"leader elected after {self.elected_at - self.struck_at:.1f} s, {len(failed)} of "
                f"{len(writer.answers)} writes refused, a write was taken {again.ended - self.elected_at:.2f} s after it"
            )
            late = [answer for answer in failed if answer.began > self.elected_at + WRITE_SECONDS]
            assert not late, f"{run.site.name}: {late[:5]}"

    def lost(self) -> list[str]:
        """Answer the writes that were acknowledged, and are not there."""
        rows = self.machines.query(self.leader, "SELECT name FROM library_author", SITE)
        there = {name for (name,) in rows}
        return [name for writer in self.writers for name in acknowledged(writer.answers) if name not in there]


def acknowledged(answers: list[Answer]) -> list[str]:
    return [answer.path.partition("=")[2] for answer in answers if not answer.is_failed]


def test_no_get_fails_and_no_write_is_lost_when_the_leader_is_killed(machines: Machines, sites: list[HaSite]) -> None:
    election = Election(machines, sites, "leader killed")
    with election.load():
        old = election.strike(machines.kill)
        machines.start(old)
        machines.wait_until_whole()
        election.serves(old)
    election.check_reads()
    election.check_writes()
    assert election.lost() == []
    assert machines.role(old) == "replica"


def test_no_get_fails_and_no_write_is_lost_in_a_planned_switchover(machines: Machines, sites: list[HaSite]) -> None:
    election = Election(machines, sites, "switchover")
    machines.wait_until_whole()

    def switch(leader: str) -> None:
        machines.switch_over(leader, machines.synchronous())

    with election.load():
        old = election.strike(switch)
        machines.wait_until_whole()
        election.serves(old)
    election.check_reads()
    election.check_writes()
    assert election.lost() == []
