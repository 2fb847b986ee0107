"""Is every node asked in time, whatever another one does?"""

from __future__ import annotations

from typing import Any

import pytest

from django_gmf_router.replicas.probe_threads import Rounds

NODES = ("default", "replica_1", "replica_2")


def no_more(node: str) -> float:
    return 0.0


def the_rounds(jitter: Any = lambda low, high: 1.0) -> Rounds:
    return Rounds(NODES, interval_seconds=1.0, timeout_seconds=2.0, jitter=jitter)


def test_all_nodes_are_asked_at_once_and_again_after_the_interval() -> None:
    rounds = the_rounds()
    for now in (100.0, 101.0, 102.0):
        assert rounds.begin(now) == list(NODES)
        assert rounds.begin(now) == []
        assert [rounds.answered(node) for node in NODES] == [True] * 3
        assert rounds.wait_until() == now + 1.0
        assert rounds.begin(now + 0.9) == []


def test_the_interval_varies_and_is_never_longer() -> None:
    asked: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    rounds = the_rounds(jitter)
    rounds.begin(100.0)
    assert asked == [(0.8, 1.0)]
    for node in NODES:
        rounds.answered(node)
    assert rounds.wait_until() == pytest.approx(101.0)


def test_a_node_that_hangs_is_late_once_and_holds_up_no_other() -> None:
    rounds = the_rounds()
    rounds.begin(100.0)
    for now in (100.0, 101.0, 102.0, 103.0):
        rounds.answered("default")
        rounds.answered("replica_2")
        assert rounds.give_up_late(now, no_more) == (["replica_1"] if now == 102.0 else [])
        assert rounds.is_busy("replica_1")
        assert rounds.begin(now + 1.0) == ["default", "replica_2"]


def test_the_time_of_a_late_node_is_waited_for() -> None:
    rounds = the_rounds()
    rounds.begin(100.0)
    rounds.answered("default")
    rounds.begin(101.0)
    rounds.begin(102.5)
    assert rounds.wait_until() == 102.0


def test_an_answer_that_comes_late_does_not_count_and_the_node_is_asked_again() -> None:
    rounds = the_rounds()
    rounds.begin(100.0)
    rounds.give_up_late(102.0, no_more)
    assert rounds.answered("replica_1") is False
    assert not rounds.is_busy("replica_1")
    assert "replica_1" in rounds.begin(102.1)
    assert rounds.answered("replica_1") is True


def test_a_node_that_has_a_right_to_more_time_is_given_it_once() -> None:
    rounds = the_rounds()
    rounds.begin(100.0)
    rounds.answered("default")
    assert rounds.give_up_late(102.0, {"replica_1": 4.0, "replica_2": 0.0}.__getitem__) == ["replica_2"]
    assert rounds.give_up_late(105.9, no_more) == []
    assert rounds.give_up_late(106.0, {"replica_1": 4.0}.__getitem__) == ["replica_1"]
    rounds.answered("replica_1")
    assert "replica_1" in rounds.begin(107.0)
    assert rounds.give_up_late(109.0, {"default": 0.0, "replica_1": 1.0, "replica_2": 0.0}.__getitem__) == ["default"]


def test_nodes_are_not_blamed_for_the_time_in_which_this_process_stood_still() -> None:
    rounds = the_rounds()
    rounds.begin(100.0)
    rounds.stood_still(30.0)
    assert rounds.give_up_late(130.0, no_more) == []
    assert rounds.give_up_late(132.0, no_more) == list(NODES)
