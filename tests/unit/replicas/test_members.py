"""Are the servers behind one name watched one by one, and is their alias as good as the best of them?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import pytest

from django_gmf_router.replicas.addresses import AddressBook
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.monitor import Monitor
from tests.unit.replicas.test_monitor import REFUSED, REPLICA, Fake, FakeProbe, a_monitor, threads_of
from tests.waiting import until

PROMOTED = replace(REPLICA, role="primary")
FIRST, SECOND, THIRD = (f"replica_1@127.0.0.{number}:5432" for number in (2, 3, 4))


class Named(Fake):
    """Servers of which three are behind the name of replica_1."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: tuple[str, ...] = (FIRST, SECOND)
        for node in (FIRST, SECOND, THIRD):
            self.readings[node] = REPLICA
            self.asked[node] = self.open[node] = 0
            self.hanging[node] = SimpleQueue()

    def probe(self, alias: str, timeout_seconds: float, address: Any = None) -> FakeProbe:
        return super().probe(address.get("node", alias), timeout_seconds)


class Book(AddressBook):
    """The addresses of replica_1, as the test says them now."""

    def __init__(self, named: Named) -> None:
        super().__init__({"replica_1": {}})
        self.named = named

    def look_up(self, alias: str) -> tuple[str, ...]:
        return self.named.nodes

    def params(self, node: str) -> Mapping[str, str]:  # type: ignore[override]
        return {"node": node}


@pytest.fixture
def named() -> Named:
    return Named()


@pytest.fixture
def monitor(named: Named) -> Iterator[Monitor]:
    with a_monitor(named, addresses=Book(named)) as monitor:
        monitor.ensure()
        yield monitor


def test_every_address_is_probed_and_the_alias_itself_is_not(named: Named, monitor: Monitor) -> None:
    until(lambda: named.asked[FIRST] > 1 and named.asked[SECOND] > 1)
    assert named.asked["replica_1"] == 0
    assert monitor.members("replica_1") == (FIRST, SECOND)
    assert monitor.members("replica_2") == ("replica_2",)
    assert monitor.health("replica_1").state == State.UP


def test_an_alias_is_down_when_all_its_servers_are(named: Named, monitor: Monitor) -> None:
    named.readings[FIRST] = REFUSED
    until(lambda: monitor.is_down(FIRST))
    assert not monitor.is_down("replica_1")
    named.readings[SECOND] = REFUSED
    until(lambda: monitor.is_down("replica_1"))
    assert monitor.health("replica_1").error == "connection refused"


def test_a_server_that_is_back_raises_the_generation_of_its_alias(named: Named, monitor: Monitor) -> None:
    named.readings[FIRST] = REFUSED
    until(lambda: monitor.is_down(FIRST))
    before = monitor.health("replica_1").generation
    named.readings[FIRST] = REPLICA
    until(lambda: not monitor.is_down(FIRST))
    until(lambda: monitor.health("replica_1").generation > before)


def test_a_name_that_changes_is_watched_where_it_points_now(named: Named, monitor: Monitor) -> None:
    until(lambda: named.asked[FIRST] > 1)
    before = monitor.health("replica_1").generation
    named.nodes = (SECOND, THIRD)
    until(lambda: named.asked[THIRD] > 1)
    assert monitor.members("replica_1") == (SECOND, THIRD)
    assert monitor.health("replica_1").generation > before
    until(lambda: named.open[FIRST] == 0)
    assert monitor.health(FIRST).generation == -1
    assert f"gmf-probe-{FIRST}" not in {thread.name for thread in threads_of(monitor)}


def test_what_is_told_of_an_address_that_is_not_watched_is_ignored(named: Named, monitor: Monitor) -> None:
    until(lambda: named.asked[FIRST] > 1)
    monitor.report_failure(THIRD, "connection refused")
    monitor.report_failure("replica_1", "connection refused")
    assert not monitor.is_down(THIRD)
    assert not monitor.is_down("replica_1")


def test_an_alias_whose_name_never_resolved_is_down_until_it_does(named: Named, monitor: Monitor) -> None:
    named.nodes = ()
    with a_monitor(named, addresses=Book(named)) as other:
        other.ensure()
        until(lambda: other.is_down("replica_1"))
        assert other.health("replica_1").error == "Its host does not resolve."
        named.nodes = (FIRST,)
        until(lambda: not other.is_down("replica_1"))


def test_an_address_that_gets_company_is_no_balancer_any_more(named: Named, monitor: Monitor) -> None:
    named.nodes = (FIRST,)
    until(lambda: monitor.health(FIRST).balanced)
    named.readings[FIRST] = PROMOTED
    named.nodes = (FIRST, SECOND)
    until(lambda: monitor.is_down(FIRST))
    assert not monitor.is_down("replica_1")
    named.nodes = (FIRST,)
    until(lambda: not monitor.is_down(FIRST))
