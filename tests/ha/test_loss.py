"""What is lost when more than one thing goes wrong, or `synchronous_mode` is off? Only with GMF_SOAK."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.chaos.runs import NOTES
from tests.ha.elections import Election
from tests.ha.machines import Machines
from tests.ha.sites import HaSite

KILLS = 5
# How long faults last.
STALL_SECONDS = 2.0
ETCD_AWAY_SECONDS = 30.0


@pytest.fixture
def asynchronous(machines: Machines) -> Iterator[Machines]:
    """The machines without `synchronous_mode`."""
    machines.set(synchronous_mode=False)
    machines.wait_until_whole()
    yield machines
    machines.set(synchronous_mode=True)
    machines.wait_until_whole()


def stall_and_kill(machines: Machines, leader: str) -> None:
    """Let nothing reach the replicas for a while, as a slow network does, and kill the leader."""
    for process in machines.walsenders(leader):
        process.suspend()
    time.sleep(STALL_SECONDS)  # what is acknowledged meanwhile is what is counted
    machines.kill(leader)


def lost_when_replication_stalls(machines: Machines, sites: list[HaSite], mode: str) -> Election:
    election = Election(machines, sites, f"replication stalls, leader killed, {mode}")
    with election.load():
        old = election.strike(lambda leader: stall_and_kill(machines, leader))
        machines.start(old)
        machines.wait_until_whole()
        election.serves(old)
    election.check_reads()
    election.tell_loss()
    return election


@pytest.mark.soak
def test_what_five_kills_lose_without_synchronous_mode(asynchronous: Machines, sites: list[HaSite]) -> None:
    lost = written = 0
    for _ in range(KILLS):
        election = Election(asynchronous, sites, "leader killed, asynchronous")
        with election.load():
            asynchronous.start(election.strike(asynchronous.kill))
            asynchronous.wait_until_whole()
        election.check_reads()
        election.check_writes()
        lost += len(election.lost())
        written += len(election.acknowledged())
    NOTES.append(f"leader killed {KILLS} times without synchronous_mode: {lost} of {written} acknowledged writes lost")


@pytest.mark.soak
def test_what_was_acknowledged_while_replication_stalls_is_lost_without_synchronous_mode(
    asynchronous: Machines, sites: list[HaSite]
) -> None:
    assert lost_when_replication_stalls(asynchronous, sites, "asynchronous").lost()


@pytest.mark.soak
def test_nothing_is_acknowledged_and_lost_while_replication_stalls(machines: Machines, sites: list[HaSite]) -> None:
    assert lost_when_replication_stalls(machines, sites, "synchronous").lost() == []


@pytest.mark.soak
def test_nothing_fails_while_etcd_is_away(machines: Machines, sites: list[HaSite]) -> None:
    election = Election(machines, sites, "etcd frozen for longer than ttl")
    with election.load():
        election.happen(lambda: machines.freeze("etcd"))
        time.sleep(ETCD_AWAY_SECONDS)  # how long is what is tested
        machines.thaw("etcd")
        machines.wait_until_whole()
    election.check_reads()
    assert election.refused() == []


@pytest.mark.soak
def test_nothing_that_was_acknowledged_is_lost_when_patroni_alone_is_killed(
    machines: Machines, sites: list[HaSite]
) -> None:
    election = Election(machines, sites, "Patroni killed alone")
    with election.load():
        old = election.elect(machines.kill_patroni)
        time.sleep(STALL_SECONDS)  # PostgreSQL goes on alone for as long
        machines.start(old)
        machines.wait_until_whole()
    election.check_reads()
    assert election.lost() == []
