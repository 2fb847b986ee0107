"""What does the connection edge learn about nodes, and how does it connect to one for another alias?"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections

from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.replicas.addresses import AddressBook
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.nodes import Nodes
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig


@pytest.fixture
def nodes() -> Nodes:
    replicas = (ReplicaConfig(alias="replica_1"), ReplicaConfig(alias="replica_2", balanced=True))
    config = ClusterConfig(primary="default", replicas=replicas)
    monitor = Monitor(config)
    return Nodes(config, monitor, NodeSockets(), AddressBook({}))


def test_a_balanced_name_is_tried_again_since_each_connection_may_lead_to_another_server(nodes: Nodes) -> None:
    assert list(nodes.to_try("replica_2", "replica_2"))[:2] == ["replica_2"] * 2
    assert "replica_1" not in list(nodes.to_try("replica_1", "replica_1"))
    nodes.failed("replica_2", "it hangs", timed_out=True)
    assert "replica_2" not in list(nodes.to_try("replica_2", None))


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


def test_a_new_connection_goes_to_the_address_to_which_the_fewest_are_held() -> None:
    config = ClusterConfig(primary="default", replicas=(ReplicaConfig(alias="replica_1", balanced=True),))
    book = AddressBook({"replica_1": {"HOST": "h", "OPTIONS": {}}}, lambda *_: ["127.0.0.2", "127.0.0.3", "127.0.0.4"])
    first, second, third = book.nodes("replica_1")
    monitor = Monitor(config, book)
    sockets = NodeSockets()
    held = {first: 2, second: 0, third: 1}
    sockets.count = held.__getitem__  # type: ignore[method-assign,assignment]
    assert list(Nodes(config, monitor, sockets, book).to_try("replica_1", None)) == [second, third, first, "default"]
