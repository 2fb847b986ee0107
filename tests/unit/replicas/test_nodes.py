"""What does the connection edge learn about nodes, and how does it connect to one for another alias?"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections

from django_gmf_router.conf import ClusterConfig, ReplicaConfig
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.nodes import Nodes
from django_gmf_router.replicas.sockets import NodeSockets


@pytest.fixture
def nodes() -> Nodes:
    replicas = (ReplicaConfig(alias="replica_1"), ReplicaConfig(alias="replica_2", balanced=True))
    config = ClusterConfig(primary="default", replicas=replicas)
    monitor = Monitor(primary="default", replicas=config.replica_aliases, balanced=config.balanced_aliases)
    return Nodes(config, monitor, NodeSockets())


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
