"""Who leaves a drained replica, and who ends there?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import router
from django.test import override_settings

from django_gmf_router import clusters, use_replica
from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.replicas import freshness, status
from django_gmf_router.replicas.addresses import AddressBook
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.nodes import Nodes
from django_gmf_router.replicas.observer import Answer
from django_gmf_router.replicas.pool import ReplicaPool
from django_gmf_router.replicas.readings import Reading, Steering
from django_gmf_router.replicas.states import NodeStates
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig, Role, parse
from tests.books.models import Book
from tests.conftest import OpenUnit
from tests.unit.replicas.test_freshness import Site
from tests.unit.replicas.test_status import PRIMARY, REPLICA, FakeProbe

CONFIG = ClusterConfig(primary="default", replicas=tuple(ReplicaConfig(alias=f"replica_{i}") for i in (1, 2)))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, unmirrored: None) -> Site:
    site = Site()
    monkeypatch.setattr(freshness, "connections", site.servers)
    return site


def drain(states: NodeStates, *aliases: str) -> None:
    states.steering = Steering(version=states.steering.version + 1, drained=frozenset(aliases))
    states.publish(states.snapshot)


def pool(site: Site) -> ReplicaPool:
    return ReplicaPool(site.config, site.monitor, site.freshness)


def test_a_drained_replica_is_never_picked_until_it_is_put_back(site: Site) -> None:
    drain(site.monitor, "replica_1")
    assert {pool(site).pick() for _ in range(50)} == {("replica_2", "")}
    drain(site.monitor)
    assert {pool(site).pick()[0] for _ in range(50)} == {"replica_1", "replica_2"}


def test_the_last_one_may_be_drained_too(site: Site) -> None:
    drain(site.monitor, "replica_1", "replica_2")
    assert pool(site).pick() == (None, "no_replica")


def test_a_slow_one_that_is_drained_is_not_even_tried(site: Site) -> None:
    site.knows("replica_1", state=State.SLOW)
    drain(site.monitor, "replica_1")
    assert {pool(site).pick()[0] for _ in range(1000)} == {"replica_2"}


def test_a_page_ends_on_it_and_what_lasts_leaves_it(site: Site) -> None:
    drain(site.monitor, "replica_1")
    assert pool(site).may_go_on("replica_1")
    assert not pool(site).may_go_on("replica_1", streams=True)
    assert not pool(site).may_go_on("replica_1", for_ever=True)
    assert pool(site).may_go_on("replica_2", for_ever=True, streams=True)


def test_what_lasts_leaves_it_also_where_it_had_moved_there(site: Site) -> None:
    site.servers["replica_2"].node = "replica_1"
    drain(site.monitor, "replica_1")
    assert not pool(site).may_go_on("replica_2", for_ever=True)


def test_nothing_new_connects_to_it() -> None:
    states = NodeStates(CONFIG, AddressBook({}))
    nodes = Nodes(CONFIG, states, NodeSockets(), AddressBook({}))
    drain(states, "replica_1")
    assert list(nodes.to_try("replica_1")) == ["replica_2", "default"]
    assert list(nodes.to_try("replica_2")) == ["replica_2", "default"]
    assert list(nodes.to_try("default")) == ["default", "replica_2"]
    assert (nodes.is_left("replica_1"), nodes.is_left("replica_2")) == (True, False)
    states.report_failure("default", "it is away")
    assert list(nodes.to_try("default")) == ["replica_2", "default"]


def test_an_alias_of_several_servers_is_drained_as_a_whole() -> None:
    config = replace(CONFIG, replicas=(ReplicaConfig(alias="replica_1", balanced=True), *CONFIG.replicas[1:]))
    book = AddressBook({"replica_1": {"HOST": "h", "OPTIONS": {}}}, lambda *_: ["127.0.0.2", "127.0.0.3"])
    states = NodeStates(config, book)
    nodes = Nodes(config, states, NodeSockets(), book)
    servers = book.nodes("replica_1")
    assert set(nodes.to_try("replica_1")) == {*servers, "replica_2", "default"}
    drain(states, "replica_1")
    assert list(nodes.to_try("replica_1")) == ["replica_2", "default"]
    assert list(nodes.to_try("replica_2")) == ["replica_2", "default"]
    assert all(map(nodes.is_left, servers))


def test_a_replica_of_another_site_that_is_the_primary_here_is_not_drained_here() -> None:
    states = NodeStates(CONFIG, AddressBook({}))
    drain(states, "default", "replica_9")
    assert states.drained == {"replica_9"}
    assert [alias for alias, _ in states.tiers[None][0].candidates] == ["replica_1", "replica_2"]


def test_what_has_nothing_to_do_makes_no_other_replica_slow() -> None:
    states = NodeStates(CONFIG, AddressBook({}))
    assert states._compared() == [["replica_1", "replica_2"]]
    drain(states, "replica_1")
    assert states._compared() == [["replica_2"]]


def test_whoever_tells_of_a_drain_those_who_may_serve_are_published_with_it() -> None:
    monitor = Monitor(CONFIG)
    before = monitor.snapshot
    reading = Reading(up=True, role=Role.REPLICA, control='1 {"drained": ["replica_1"]}')
    monitor.answered(Answer(alias="replica_2", reading=reading, started_at=0.0, finished_at=0.1))
    monitor.stop()
    assert [alias for alias, _ in monitor.tiers[None][0].candidates] == ["replica_2"]
    # What requests compare by identity.
    assert monitor.snapshot is not before


def test_gmf_status_tells_the_drain_beside_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "INTERVAL_SECONDS", 0.01)
    told = replace(REPLICA, control='1 {"drained": ["replica_1"]}')
    answers: dict[str, Any] = {"default": PRIMARY, "replica_1": told, "replica_2": told}
    config = parse("default", {"REPLICAS": ["replica_1", "replica_2"]})
    nodes = status.statuses([config], lambda alias, *_: FakeProbe(answers[alias]))
    found = [(node.alias, node.state, node.drained, node.share) for node in nodes]
    assert found == [
        ("default", "up", False, None),
        ("replica_1", "up", True, 0.0),
        ("replica_2", "up", False, 1.0),
    ]
    assert status.exit_code(nodes) == 0


@pytest.fixture
def states(unmirrored: None) -> Iterator[NodeStates]:
    """What is known of a cluster of the test's own."""
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1", "replica_2"]}}):
        yield clusters.registry().clusters[0].monitor


def test_a_request_ends_on_the_replica_that_it_has_and_its_stream_does_not(
    states: NodeStates, open_request: OpenUnit
) -> None:
    with open_request() as unit:
        first = router.db_for_read(Book)
        drain(states, str(first))
        assert router.db_for_read(Book) == first
        unit.streams = True
        drain(states, str(first))
        assert router.db_for_read(Book) == {"replica_1": "replica_2", "replica_2": "replica_1"}[first]
        drain(states, "replica_1", "replica_2")
        assert router.db_for_read(Book) == "default"


def test_a_block_that_lasts_leaves_it_too(states: NodeStates) -> None:
    with use_replica(level="eventual"):
        first = router.db_for_read(Book)
        assert router.db_for_read(Book) == first
        drain(states, str(first))
        assert router.db_for_read(Book) not in {first, "default"}
