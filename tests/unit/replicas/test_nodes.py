"""What does the connection edge learn about nodes, and how does it connect to one for another alias?"""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import connections

from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.replicas.addresses import AddressBook
from django_gmf_router.replicas.nodes import Nodes
from django_gmf_router.replicas.observer import Answer
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.replicas.states import NodeStates
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig, Role


@pytest.fixture
def nodes() -> Nodes:
    replicas = (ReplicaConfig(alias="replica_1"), ReplicaConfig(alias="replica_2", balanced=True))
    config = ClusterConfig(primary="default", replicas=replicas)
    return Nodes(config, NodeStates(config, AddressBook({})), NodeSockets(), AddressBook({}))


def test_a_balanced_name_is_tried_again_since_each_connection_may_lead_to_another_server(nodes: Nodes) -> None:
    assert list(nodes.to_try("replica_2", ["replica_2"]))[:2] == ["replica_2"] * 2
    assert "replica_1" not in list(nodes.to_try("replica_1", ["replica_1"]))
    nodes.failed("replica_2", "it hangs", timed_out=True)
    assert "replica_2" not in list(nodes.to_try("replica_2"))


@pytest.mark.parametrize(
    ("node", "timed_out", "is_down"),
    [("replica_1", False, True), ("replica_1", True, True), ("replica_2", False, False), ("replica_2", True, True)],
)
def test_a_balanced_name_is_put_down_by_a_time_out_alone(
    nodes: Nodes, node: str, timed_out: bool, is_down: bool
) -> None:
    nodes.failed(node, "the connection failed", timed_out=timed_out)
    assert nodes.is_down(node) is is_down


@pytest.mark.parametrize(
    ("wanted", "asked"), [("read-write", "primary"), ("primary", "primary"), ("standby", "standby"), (None, None)]
)
def test_a_read_only_session_does_not_ask_libpq_for_one_that_writes(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, wanted: str | None, asked: str | None
) -> None:
    options: dict[str, Any] = {"target_session_attrs": wanted} if wanted else {}
    changed = {"ENGINE": "django.db.backends.postgresql", "NAME": "n", "OPTIONS": options}
    monkeypatch.setitem(connections.settings, "default", {**connections.settings["default"], **changed})
    params = nodes.read_only_params("default")
    assert params.get("target_session_attrs") == asked
    assert "default_transaction_read_only=on" in params["options"]


def test_a_node_that_refused_is_not_asked_again_for_an_interval(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(3):
        nodes.refused("replica_1", "sorry, too many clients already")
    assert len(caplog.records) == 1
    assert "replica_1" not in list(nodes.to_try("replica_1"))
    assert "replica_1" not in list(nodes.to_try("replica_2"))
    assert nodes.is_out("replica_1")
    assert not nodes.is_down("replica_1")
    now += 1.0
    assert next(nodes.to_try("replica_1")) == "replica_1"
    nodes.refused("replica_1", "sorry, too many clients already")
    nodes.connected("replica_1")
    assert not nodes.is_out("replica_1")


def test_the_last_try_is_the_primarys_unless_it_is_down(nodes: Nodes) -> None:
    first, *others = nodes.to_try("replica_2", ["replica_1"], last=True)
    assert first == "default"
    assert "replica_2" in others
    assert "default" not in others
    assert next(nodes.to_try("default", ["default"], last=True)) != "default"
    nodes.failed("default", "it is away", timed_out=False)
    assert next(nodes.to_try("replica_2", ["replica_1"], last=True)) == "replica_2"


def test_a_node_that_takes_a_connection_while_the_monitor_calls_it_down_is_back_until_it_fails_again(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = iter(range(100))
    monkeypatch.setattr(nodes._states, "_wall", lambda: next(wall))
    assert not nodes.is_still_down("default")
    nodes.connected("default")
    nodes._states.late(["default"])
    # What it took before it was put down says nothing.
    assert nodes.is_still_down("default")
    nodes.connected("default")
    assert nodes.is_down("default")
    assert not nodes.is_still_down("default")
    nodes.failed("default", "it is away again", timed_out=False)
    assert nodes.is_still_down("default")


def test_a_time_out_during_which_the_node_answered_its_probe_is_this_process_fault(nodes: Nodes) -> None:
    began = time.monotonic()
    reading = Reading(up=True, role=Role.REPLICA)
    nodes._states.answered(Answer(alias="replica_1", reading=reading, started_at=began, finished_at=began + 1))
    nodes.failed("replica_1", "timeout expired", timed_out=True, began=began)
    assert not nodes.is_down("replica_1")
    nodes.failed("replica_1", "timeout expired", timed_out=True, began=began + 2)
    assert nodes.is_down("replica_1")


def test_a_new_connection_goes_to_the_address_to_which_the_fewest_are_held() -> None:
    config = ClusterConfig(primary="default", replicas=(ReplicaConfig(alias="replica_1", balanced=True),))
    book = AddressBook({"replica_1": {"HOST": "h", "OPTIONS": {}}}, lambda *_: ["127.0.0.2", "127.0.0.3", "127.0.0.4"])
    first, second, third = book.nodes("replica_1")
    sockets = NodeSockets()
    held = {first: 2, second: 0, third: 1}
    sockets.count = held.__getitem__  # type: ignore[method-assign,assignment]
    nodes = Nodes(config, NodeStates(config, book), sockets, book)
    assert list(nodes.to_try("replica_1")) == [second, third, first, "default"]


def test_the_nodes_of_its_pool_come_first_and_those_of_another_pool_never() -> None:
    pools = {"near": None, "far": None, "reports_1": "reports", "reports_2": "reports", "exports": "exports"}
    replicas = tuple(ReplicaConfig(alias=alias, pool=pool, tier=1 + (alias == "far")) for alias, pool in pools.items())
    config = ClusterConfig(primary="default", replicas=replicas)
    nodes = Nodes(config, NodeStates(config, AddressBook({})), NodeSockets(), AddressBook({}))
    assert list(nodes.to_try("reports_1")) == ["reports_1", "reports_2", "near", "far", "default"]
    assert list(nodes.to_try("far")) == ["far", "near", "default"]
    assert list(nodes.to_try("default")) == ["default", "near", "far"]


def test_the_equals_of_a_node_are_tried_in_random_order() -> None:
    config = ClusterConfig(primary="default", replicas=tuple(ReplicaConfig(alias=alias) for alias in "abc"))
    nodes = Nodes(config, NodeStates(config, AddressBook({})), NodeSockets(), AddressBook({}))
    assert {tuple(nodes.to_try("a")) for _ in range(100)} == {("a", "b", "c", "default"), ("a", "c", "b", "default")}


def test_a_time_out_while_this_process_stood_still_is_no_proof_against_a_node(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    monkeypatch.setattr(nodes._states, "stood_still", lambda since: since == began)
    nodes.failed("replica_1", "timeout expired", timed_out=True, began=began)
    assert not nodes.is_down("replica_1")
    nodes.failed("replica_1", "connection refused", timed_out=False, began=began)
    assert nodes.is_down("replica_1")


def test_moves_are_counted_by_the_node_that_was_left_and_why(nodes: Nodes) -> None:
    nodes.moved("replica_1", "replica_1", "lost", "GET /where")
    nodes.moved("replica_1", "replica_2", "conflict", "")
    nodes.stood_in("replica_1", "replica_1")
    nodes.stood_in("replica_1", "default")
    assert nodes.moves.counts() == {
        ("replica_1", "lost"): 1,
        ("replica_2", "conflict"): 1,
        ("replica_1", "down"): 1,
    }
