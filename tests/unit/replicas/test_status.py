"""Does an operator see the state, the lag, the share and since when?"""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from typing import Any

import pytest

from django_gmf_router.replicas import status
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.replicas.status import NodeReport, exit_code, statuses
from django_gmf_router.settings.values import parse

STARTED = 1_700_000_000.0
PRIMARY = Reading(up=True, role="primary", position=0x1_0000_0100, timeline=1, started=STARTED)
REPLICA = Reading(up=True, role="replica", position=0x1_0000_0100, started=STARTED)
BEHIND = Reading(up=True, role="replica", position=0x1_0000_0080, started=STARTED, replay_age=90.0)
REFUSED = Reading(up=False, error="connection refused", refused=True)


class FakeProbe:
    """Answers what the test says of its alias."""

    connecting_seconds: float | None = None

    def __init__(self, reading: Any) -> None:
        self.reading = reading
        self.freed = threading.Event()

    def read(self) -> Reading:
        if self.reading == "slow":
            self.freed.wait(0.1)  # what it takes is what is measured
            return REPLICA
        if self.reading == "hang":
            # In each round anew.
            self.freed.clear()
            self.freed.wait(10)
            return REFUSED
        assert isinstance(self.reading, Reading)
        return self.reading

    def send(self) -> bool:
        return False

    def abort(self) -> None:
        self.freed.set()

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "INTERVAL_SECONDS", 0.01)


def shown(timeout: float = 10.0, **readings: Any) -> dict[str, NodeReport]:
    replicas = {alias: {"WEIGHT": weight} for alias, weight in (("replica_1", 3), ("replica_2", 1))}
    config = parse("default", {"REPLICAS": replicas, "HEALTH": {"TIMEOUT": timeout}})
    answers = {"default": PRIMARY, "replica_1": REPLICA, "replica_2": REPLICA, **readings}
    found = statuses([config], lambda alias, *_: FakeProbe(answers[alias]))
    assert [node.alias for node in found] == ["default", "replica_1", "replica_2"]
    return {node.alias: node for node in found}


def test_nodes_that_are_up() -> None:
    nodes = shown()
    assert nodes["replica_1"] == NodeReport(
        cluster="default",
        alias="replica_1",
        role="replica",
        state="up",
        lag=0.0,
        position="1/100",
        since="2023-11-14T22:13:20+00:00",
        tier=1,
        share=0.75,
    )
    assert (nodes["default"].lag, nodes["default"].share, nodes["default"].position) == (None, None, "1/100")
    assert exit_code(list(nodes.values())) == 0


def test_a_replica_that_is_down_takes_no_share_and_says_why() -> None:
    nodes = shown(replica_1=REFUSED)
    assert (nodes["replica_1"].state, nodes["replica_1"].share) == ("down", 0.0)
    assert (nodes["replica_1"].lag, nodes["replica_1"].position) == (None, None)
    assert nodes["replica_1"].error == "connection refused"
    assert nodes["replica_2"].share == 1.0
    assert exit_code(list(nodes.values())) == 1


def test_a_replica_that_lagged_before_this_process_began_is_lagging() -> None:
    nodes = shown(replica_1=BEHIND)
    assert (nodes["replica_1"].state, nodes["replica_1"].lag) == ("lagging", 90.0)
    ago = datetime.now().astimezone() - datetime.fromisoformat(str(nodes["replica_1"].since))
    assert 88 < ago.total_seconds() < 110
    assert exit_code(list(nodes.values())) == 1


def test_a_replica_whose_probes_take_long_is_slow_and_is_read_for_trials_only() -> None:
    nodes = shown(replica_1="slow")
    assert (nodes["replica_1"].state, nodes["replica_1"].share) == ("slow", 0.005)
    assert (nodes["replica_2"].state, nodes["replica_2"].share) == ("up", 1.0)
    assert exit_code(list(nodes.values())) == 1


def test_a_node_that_hangs_is_down_after_the_time_out() -> None:
    nodes = shown(timeout=0.05, replica_2="hang")
    assert nodes["replica_2"].error == "It did not answer within 0.05 s."
    assert nodes["replica_1"].state == "up"


def test_without_a_primary_the_lag_is_unknown_and_the_exit_code_2() -> None:
    nodes = shown(default=REFUSED)
    assert {node.lag for node in nodes.values()} == {None}
    assert nodes["replica_1"].state == "up"
    assert exit_code(list(nodes.values())) == 2


def test_no_replica_that_is_up_has_no_share_to_divide() -> None:
    nodes = shown(replica_1=REFUSED, replica_2=REFUSED)
    assert [node.share for node in nodes.values()] == [None, 0.0, 0.0]


def test_looking_logs_nothing_and_leaves_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = set(threading.enumerate())
    shown(replica_1=REFUSED)
    assert set(threading.enumerate()) <= before
    assert caplog.records == []
