"""Who is told that a node is slow, and what becomes of its reads?"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from django_gmf_router import clusters, use_replica
from django_gmf_router.backends.cursors import moving
from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.replicas import freshness
from django_gmf_router.replicas.addresses import AddressBook
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.nodes import Nodes
from django_gmf_router.replicas.pool import LeastBusy, ReplicaPool, Wanted, WeightedRandom
from django_gmf_router.replicas.states import NodeStates
from django_gmf_router.settings.sections import HealthConfig, SlowConfig
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig
from tests.books.models import Author
from tests.conftest import OpenUnit
from tests.unit.replicas.test_freshness import MARK, Site, pool
from tests.unit.replicas.test_members import FIRST, SECOND, Book, Named
from tests.unit.replicas.test_monitor import Fake, a_monitor
from tests.waiting import until


class BusySite(Site):
    """A cluster on whose nodes reads of this process hang."""

    ends: list[socket.socket]

    def hang(self, node: str, reads: int) -> None:
        for _ in range(reads):
            ends = socket.socketpair()
            self.ends.extend(ends)
            self.monitor._sockets.hold(node, ends[0]).begin_statement()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[BusySite]:
    site = BusySite()
    site.ends = []
    monkeypatch.setattr(freshness, "connections", site.servers)
    yield site
    for end in site.ends:
        end.close()


@pytest.fixture
def fake() -> Fake:
    """The servers, all well."""
    return Fake()


# What it gets


@pytest.mark.usefixtures("unmirrored")
def test_a_page_goes_on_on_a_replica_that_turns_slow_and_what_never_ends_leaves_it(site: Site) -> None:
    site.knows("replica_1", state=State.SLOW)
    assert pool(site).may_go_on("replica_1")
    assert not pool(site).may_go_on("replica_1", for_ever=True)


@pytest.mark.usefixtures("unmirrored")
def test_a_slow_replica_is_picked_once_in_a_while_and_always_where_no_other_may_serve(site: Site) -> None:
    site.knows("replica_1", state=State.SLOW)
    replicas = pool(site)
    picked = []
    for _ in range(40):
        list(site.monitor.latency.judge([]))
        picked += [replicas.pick()[0] for _ in range(100)]
    assert picked.count("replica_1") in {9, 10}
    site.knows("replica_2", state=State.DOWN)
    assert {replicas.pick() for _ in range(10)} == {("replica_1", "")}


@pytest.mark.usefixtures("unmirrored")
def test_who_must_see_a_write_is_not_sent_to_try_a_slow_replica(site: Site) -> None:
    site.knows("replica_1", state=State.SLOW, position=1000)
    site.knows("replica_2", position=1000)
    replicas = pool(site)
    assert {replicas.pick(Wanted(mark=MARK, time=0.0)) for _ in range(1000)} == {("replica_2", "")}


@pytest.mark.parametrize(("slow", "expected"), [(SlowConfig(), "replica_2"), (None, "replica_1")])
@pytest.mark.usefixtures("unmirrored")
def test_a_replica_on_which_many_reads_wait_gets_no_more_before_anything_is_known(
    site: Site, slow: SlowConfig | None, expected: str
) -> None:
    config = replace(site.config, health=HealthConfig(slow=slow))
    first = WeightedRandom(lambda: 0.0)
    replicas = ReplicaPool(config, site.monitor, site.freshness, balancer=first)
    assert replicas.pick() == ("replica_1", "")
    site.hang("replica_1", 6)
    assert replicas.pick() == (expected, "")


@pytest.mark.usefixtures("unmirrored")
def test_a_client_of_a_stable_balancer_stays_where_many_wait(site: Site) -> None:
    replicas = ReplicaPool(replace(site.config, balancer="stable"), site.monitor, site.freshness)
    (own,) = {replicas.pick(key="somebody")[0] for _ in range(10)}
    site.hang(str(own), 6)
    assert replicas.pick(key="somebody") == (own, "")


@pytest.mark.usefixtures("unmirrored")
def test_who_must_see_a_write_is_served_where_it_is_though_many_wait_there(site: Site) -> None:
    site.knows("replica_1", position=1000)
    site.knows("replica_2", position=10)
    replicas = pool(site)
    site.hang("replica_1", 6)
    assert {replicas.pick(Wanted(mark=MARK, time=0.0)) for _ in range(100)} == {("replica_1", "")}


@pytest.mark.usefixtures("unmirrored")
def test_the_balancer_that_the_setting_names_knows_what_is_under_way(site: BusySite) -> None:
    config = replace(site.config, balancer="least_busy", health=HealthConfig(slow=None))
    replicas = ReplicaPool(config, site.monitor, site.freshness)
    assert isinstance(replicas._balancer, LeastBusy)
    site.hang("replica_1", 1)
    assert {replicas.pick()[0] for _ in range(100)} == {"replica_2"}
    site.hang("replica_2", 1)
    site.knows("replica_1", latency=1.0)
    picked = [replicas.pick()[0] for _ in range(2000)]
    assert 0.2 < picked.count("replica_1") / 2000 < 0.3


@pytest.mark.parametrize(("method", "alias"), [("GET", "replica_1"), (None, "replica_2")])
@pytest.mark.usefixtures("unmirrored")
def test_a_request_ends_on_its_replica_and_a_worker_leaves_it(
    open_request: OpenUnit, method: str | None, alias: str
) -> None:
    cluster = clusters.registry().clusters[0]
    known = cluster.monitor.snapshot
    first = {"replica_2": replace(known["replica_2"], state=State.DOWN)}
    later = {"replica_1": replace(known["replica_1"], state=State.SLOW)}
    with open_request() as unit:
        cluster.monitor.publish({**known, **first})
        assert cluster.policy.read(Author, None) == "replica_1"
        unit.method = method
        cluster.monitor.publish({**known, **later})
        assert cluster.policy.read(Author, None) == alias
        cluster.monitor.publish(known)


@pytest.mark.usefixtures("unmirrored")
def test_a_block_with_a_replica_of_its_own_leaves_one_that_lags(open_request: OpenUnit) -> None:
    cluster = clusters.registry().clusters[0]
    known = cluster.monitor.snapshot
    first = {"replica_2": replace(known["replica_2"], state=State.DOWN)}
    later = {"replica_1": replace(known["replica_1"], state=State.LAGGING)}
    with open_request(), use_replica(level="eventual"):
        cluster.monitor.publish({**known, **first})
        assert cluster.policy.read(Author, None) == "replica_1"
        cluster.monitor.publish({**known, **later})
        assert cluster.policy.read(Author, None) == "replica_2"
        cluster.monitor.publish(known)


# Who is told


class Slow:
    """Times that a test gives."""

    def __init__(self, *nodes: str) -> None:
        self.nodes = nodes

    def probed(self, node: str, seconds: float) -> None:
        pass

    def judge(self, pools: list[list[str]]) -> Iterator[tuple[str, float, bool]]:
        yield from ((node, 0.3, node in self.nodes) for pool in pools for node in pool)


def test_a_change_is_logged_once_and_a_slow_node_is_not_down(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with a_monitor(fake) as monitor:
        for nodes in (["replica_1"], ["replica_1"], []):
            monitor.latency = Slow(*nodes)  # type: ignore[assignment]
            monitor.compare()
            assert monitor.health("replica_1").state == (State.SLOW if nodes else State.UP)
    slow, up = caplog.records
    text = "The replica replica_1 is slow: what it is asked typically takes 0.300 s. Its reads go elsewhere."
    assert (slow.levelname, vars(slow)["event"], slow.getMessage()) == ("WARNING", "node_slow", text)
    assert (vars(slow)["latency"], vars(up)["event"]) == (0.3, "node_up")
    assert "it was slow for" in up.getMessage()


def test_only_replicas_that_may_serve_are_compared(fake: Fake) -> None:
    with a_monitor(fake) as monitor:
        monitor.report_failure("replica_2", "refused")
        assert monitor._compared() == [["replica_1"]]


def test_nodes_are_compared_in_each_round(fake: Fake) -> None:
    with a_monitor(fake) as monitor:
        monitor.ensure()
        monitor.latency = Slow("replica_2")  # type: ignore[assignment]
        until(lambda: monitor.health("replica_2").state == State.SLOW)


# One of several servers behind a name


def test_an_alias_is_up_while_one_of_its_servers_is_not_slow_and_connections_leave_that() -> None:
    named = Named()
    book = Book(named)
    with a_monitor(named, addresses=book) as monitor:
        monitor.ensure()
        until(lambda: monitor.members("replica_1") == (FIRST, SECOND))
        nodes = Nodes(monitor._config, monitor, NodeSockets(), book)
        nodes._several = frozenset({"replica_1"})
        generation = nodes.generation(FIRST)
        monitor.latency = Slow(FIRST)  # type: ignore[assignment]
        until(lambda: monitor.health(FIRST).state == State.SLOW)
        assert monitor.health("replica_1").state == State.UP
        assert (nodes.is_left(FIRST), nodes.is_left(SECOND)) == (True, False)
        assert nodes.generation(FIRST) == generation
        # Back: what is connected is spread anew.
        monitor.latency = Slow()  # type: ignore[assignment]
        until(lambda: monitor.health(FIRST).state == State.UP)
        assert nodes.generation(FIRST) > generation


def test_a_slow_alias_of_one_server_is_not_left() -> None:
    config = ClusterConfig(primary="default", replicas=(ReplicaConfig(alias="replica_1"),))
    states = NodeStates(config, AddressBook({}))
    states.latency = Slow("replica_1")  # type: ignore[assignment]
    states.compare()
    assert states.health("replica_1").state == State.SLOW
    assert not Nodes(config, states, NodeSockets(), AddressBook({})).is_left("replica_1")


# Which statements count


class DriversCursor:
    """A driver's cursor whose statements are answered."""

    def execute(self, *args: object) -> None:
        pass


class Base:
    """What Django's cursor wrapper does of it."""

    def __init__(self, cursor: Any, db: Any) -> None:
        self.cursor, self.db = cursor, db

    def _execute(self, sql: str, params: Any, *ignored: Any) -> None:
        self.cursor.execute(sql, params)


@pytest.mark.parametrize(("name", "counted"), [(None, 1), ("server_side", 0)])
def test_a_statement_counts_and_the_declaration_of_a_cursor_does_not(name: str | None, counted: int) -> None:
    sockets, (near, far) = NodeSockets(), socket.socketpair()
    held = sockets.hold("replica_1", near)

    def begin(_sql: str) -> Any:
        held.begin_statement()
        return held

    cursor = moving(Base)(DriversCursor(), SimpleNamespace(held=held, begin_statement=begin, avoided=()))
    cursor.gmf_name = name
    cursor._execute("SELECT 1", None)
    assert (len(sockets.traffic("replica_1").take()), len(sockets.traffic("replica_1").under_way)) == (counted, 0)
    near.close()
    far.close()
