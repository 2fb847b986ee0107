"""Is a node slow by what its statements took, and by nothing else?"""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_gmf_router.postgres import sockets as postgres_sockets
from django_gmf_router.postgres.sockets import HeldSocket, NodeSockets
from django_gmf_router.replicas import latency
from django_gmf_router.replicas.latency import Comparison, Latency, evidence
from django_gmf_router.replicas.pool import LeastBusy, with_room
from django_gmf_router.settings.sections import SlowConfig

FAST, SLOW, REPORT = 0.005, 0.305, 3.0
SEVERAL = 20
SOON = 4
"""Rounds, of which the first two take the times and the others make sure."""


@pytest.fixture
def comparison() -> Comparison:
    return Comparison(SlowConfig())


def after(comparison: Comparison, rounds: int, **took: Collection[float]) -> list[str]:
    """Return which nodes are slow after so many rounds alike."""
    return [comparison.judge(took) for _ in range(rounds)][-1]


def ever(comparison: Comparison, rounds: int, **took: Collection[float]) -> set[str]:
    """Return which nodes were slow after any of so many rounds alike."""
    return {node for _ in range(rounds) for node in comparison.judge(took)}


# Slow


def test_a_node_whose_statements_take_longer_is_slow_within_three_rounds(comparison: Comparison) -> None:
    after(comparison, 50, one=[FAST] * 100, other=[FAST] * 100)
    assert after(comparison, 3, one=[SLOW] * 12, other=[FAST] * 100) == ["one"]


def test_one_round_alone_makes_no_node_slow(comparison: Comparison) -> None:
    assert after(comparison, 1, one=[SLOW] * 100, other=[FAST] * 100) == []
    assert after(comparison, 9, one=[FAST] * 100, other=[FAST] * 100) == []


def test_a_node_is_slow_where_few_statements_are_made(comparison: Comparison) -> None:
    after(comparison, 50, one=[FAST], other=[FAST])
    assert after(comparison, 15, one=[SLOW], other=[FAST]) == ["one"]


def test_a_node_on_which_every_third_statement_hangs_is_slow(comparison: Comparison) -> None:
    assert after(comparison, SOON, one=[FAST, FAST, SLOW] * 100, other=[FAST] * 300) == ["one"]


def test_a_node_is_slow_though_half_of_what_is_asked_is_a_report(comparison: Comparison) -> None:
    slow = [2 * FAST + 0.3, REPORT + 0.3]
    assert after(comparison, SOON, one=slow * SEVERAL, other=[FAST, REPORT] * SEVERAL) == ["one"]


def test_a_node_that_answers_nothing_is_slow_before_it_answers(comparison: Comparison) -> None:
    after(comparison, 50, one=[FAST] * 100, other=[FAST] * 100)
    hanging = [comparison.judge({"one": evidence((), [age] * 4), "other": [FAST] * 100}) for age in (1, 2, 3, 4, 5)]
    assert hanging[-1] == ["one"]


# Not slow


def test_what_takes_no_longer_than_floor_is_not_slow(comparison: Comparison) -> None:
    assert ever(comparison, 9, one=[0.045] * SEVERAL, other=[0.001] * SEVERAL) == set()
    assert after(comparison, SOON, one=[0.055] * SEVERAL, other=[0.001] * SEVERAL) == ["one"]


def test_what_takes_less_than_factor_as_long_as_the_best_is_not_slow(comparison: Comparison) -> None:
    assert ever(comparison, 9, one=[0.39] * SEVERAL, other=[0.1] * SEVERAL) == set()
    assert after(comparison, SOON, one=[0.41] * SEVERAL, other=[0.1] * SEVERAL) == ["one"]


def test_a_report_among_tiles_makes_no_node_slow(comparison: Comparison) -> None:
    assert ever(comparison, 50, one=[0.002] * 9 + [REPORT], other=[0.002] * 9) == set()


def test_a_report_that_waits_beside_tiles_does_not_count() -> None:
    assert evidence([0.002], [60.0, 60.0, 60.0]) == [0.002]
    assert evidence([], [60.0, 60.0]) == ()
    assert evidence([], [60.0, 60.0, 60.0]) == [60.0, 60.0, 60.0]


def test_chance_makes_no_node_slow(comparison: Comparison) -> None:
    """Half tiles, half queries of 0.3 s, and few of them."""
    source = random.Random(12)
    for _ in range(1000):
        took = {node: [source.choice((0.002, 0.3)) for _ in range(source.randrange(5))] for node in ("one", "other")}
        assert comparison.judge(took) == []


def test_where_all_are_equally_slow_nobody_is(comparison: Comparison) -> None:
    after(comparison, 9, one=[FAST] * SEVERAL, other=[FAST] * SEVERAL)
    assert ever(comparison, 9, one=[REPORT] * SEVERAL, other=[REPORT] * SEVERAL) == set()


def test_a_node_alone_is_never_slow(comparison: Comparison) -> None:
    assert ever(comparison, 9, one=[REPORT] * SEVERAL) == set()


def test_a_node_beside_others_of_which_nothing_is_known_is_not_slow(comparison: Comparison) -> None:
    assert ever(comparison, 9, one=[REPORT] * SEVERAL, other=[]) == set()


seconds = st.floats(0.0001, 30.0)


@given(st.lists(st.lists(st.lists(seconds, max_size=30), min_size=1, max_size=7), min_size=1, max_size=12))
def test_never_more_than_half_of_a_pool_is_slow(rounds: list[list[list[float]]]) -> None:
    comparison = Comparison(SlowConfig())
    for took in rounds:
        named = {f"node {number}": each for number, each in enumerate(took)}
        assert len(comparison.judge(named)) <= max(len(named) // 2, len(rounds[0]) // 2)
        comparison.keep(named)


def test_of_three_of_which_two_are_slow_the_slower_one_is(comparison: Comparison) -> None:
    took = {"one": [0.3] * SEVERAL, "two": [0.6] * SEVERAL, "three": [FAST] * SEVERAL}
    assert after(comparison, SOON, **took) == ["two"]
    # They do not take turns.
    took["one"] = [3.0] * SEVERAL
    assert after(comparison, SOON, **took) == ["two"]


# Back


def slow(comparison: Comparison) -> None:
    assert after(comparison, SOON, one=[SLOW] * SEVERAL, other=[FAST] * SEVERAL) == ["one"]


def test_a_node_is_back_after_three_rounds_in_which_it_was_fast(comparison: Comparison) -> None:
    slow(comparison)
    assert after(comparison, 2, one=[FAST], other=[FAST] * SEVERAL) == ["one"]
    assert after(comparison, 1, one=[FAST], other=[FAST] * SEVERAL) == []


def test_rounds_in_which_it_was_not_read_say_nothing(comparison: Comparison) -> None:
    slow(comparison)
    for _ in range(2):
        after(comparison, 1, one=[FAST], other=[FAST] * SEVERAL)
        assert after(comparison, 7, one=[], other=[FAST] * SEVERAL) == ["one"]
    assert after(comparison, 1, one=[FAST], other=[FAST] * SEVERAL) == []


def test_a_node_that_is_fast_now_and_then_does_not_flap(comparison: Comparison) -> None:
    slow(comparison)
    for _ in range(30):
        after(comparison, 2, one=[FAST], other=[FAST] * SEVERAL)
        assert after(comparison, 1, one=[SLOW], other=[FAST] * SEVERAL) == ["one"]


def test_a_node_just_below_the_limit_does_not_flap(comparison: Comparison) -> None:
    assert after(comparison, SOON, one=[0.41] * SEVERAL, other=[0.1] * SEVERAL) == ["one"]
    assert after(comparison, 9, one=[0.3], other=[0.1] * SEVERAL) == ["one"]
    assert after(comparison, 3, one=[0.19], other=[0.1] * SEVERAL) == []


def test_a_node_that_nobody_reads_is_not_judged_by_old_times(comparison: Comparison) -> None:
    slow(comparison)
    assert after(comparison, latency.FORGET_ROUNDS - 1, one=[], other=[FAST]) == ["one"]
    assert after(comparison, 1, one=[], other=[FAST]) == []
    assert after(comparison, 9, one=[], other=[FAST]) == []


def test_a_node_that_was_out_is_not_judged_by_old_times(comparison: Comparison) -> None:
    slow(comparison)
    comparison.keep(["other"])
    assert after(comparison, 9, one=[], other=[FAST]) == []


# What this process' statements tell


class Clock:
    """The seconds that a test says it is."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(postgres_sockets.time, "monotonic", clock.monotonic)
    return clock


class Process:
    """One that has connections to nodes, and reads."""

    def __init__(self, clock: Clock, config: SlowConfig | None = SlowConfig()) -> None:  # noqa: B008  frozen
        self.sockets = NodeSockets()
        self.latency = Latency(config, self.sockets)
        self.clock = clock
        self._connections: list[socket.socket] = []

    def connect(self, node: str) -> HeldSocket:
        self._connections += socket.socketpair()
        return self.sockets.hold(node, self._connections[-1])

    def read(self, node: str, seconds: float, times: int = 1) -> None:
        held = self.connect(node)
        for _ in range(times):
            held.begin_statement()
            self.clock.now += seconds
            held.end()

    def hang(self, node: str, reads: int = 1) -> list[HeldSocket]:
        found = [self.connect(node) for _ in range(reads)]
        for held in found:
            held.begin_statement()
        return found

    def busy(self, node: str) -> int:
        return len(self.sockets.traffic(node).under_way)

    def judge(self, *nodes: str) -> list[str]:
        return [node for node, _, is_slow in self.latency.judge([nodes]) if is_slow]

    def close(self) -> None:
        for each in self._connections:
            each.close()


@pytest.fixture
def process(clock: Clock) -> Any:
    process = Process(clock)
    yield process
    process.close()


def turn_slow(process: Process) -> list[str]:
    """Let one be slow for three rounds, and return who is slow then."""
    process.judge("one", "other")
    for _ in range(3):
        process.read("one", SLOW, SEVERAL)
        process.read("other", FAST, SEVERAL)
        found = process.judge("one", "other")
    return found


def test_statements_that_were_answered_make_a_node_slow(process: Process) -> None:
    assert turn_slow(process) == ["one"]


def test_none_is_slow_where_the_setting_says_so(clock: Clock) -> None:
    process = Process(clock, config=None)
    for _ in range(9):
        process.read("one", REPORT, SEVERAL)
        process.read("other", FAST, SEVERAL)
        assert process.judge("one", "other") == []
    process.close()


@pytest.mark.parametrize(
    "end", [lambda process, held: process.sockets.shut("one"), lambda process, held: process.sockets.release(held)]
)
def test_a_statement_that_was_freed_or_has_moved_says_nothing_of_its_node(
    process: Process, end: Callable[[Process, HeldSocket], None]
) -> None:
    (held,) = process.hang("one")
    process.clock.now += REPORT
    assert process.busy("one") == 1
    end(process, held)
    held.end()
    assert process.busy("one") == 0
    assert process.sockets.traffic("one").take() == []


def test_the_begin_of_a_session_is_no_statement(process: Process) -> None:
    held = process.connect("one")
    held.begin()
    held.end()
    assert process.sockets.traffic("one").take() == []


def test_what_was_measured_before_a_node_was_out_is_not_judged(process: Process) -> None:
    process.read("other", FAST, SEVERAL)
    process.judge("other")
    process.read("one", REPORT, SEVERAL)
    for _ in range(9):
        process.read("other", FAST, SEVERAL)
        assert process.judge("one", "other") == []


def test_a_slow_node_whose_trial_hangs_is_not_forgotten(process: Process) -> None:
    turn_slow(process)
    process.hang("one")
    for _ in range(2 * latency.FORGET_ROUNDS):
        process.read("other", FAST, SEVERAL)
        process.clock.now += 1
        assert process.judge("one", "other") == ["one"]


def test_under_an_engine_that_notes_no_statements_probes_tell(process: Process) -> None:
    for _ in range(9):
        process.latency.probed("one", SLOW)
        process.latency.probed("other", FAST)
        found = process.judge("one", "other")
    assert found == ["one"]
    assert {node: seconds for node, seconds, _ in process.latency.judge([["one", "other"]])} == {
        "one": SLOW,
        "other": FAST,
    }


def test_by_statements_and_probes_together_never_more_than_half_are_slow(process: Process) -> None:
    for _ in range(9):
        process.read("one", SLOW, SEVERAL)
        process.read("other", FAST, SEVERAL)
        process.latency.probed("one", FAST)
        process.latency.probed("other", SLOW)
        found = process.judge("one", "other")
    assert found == ["one"]


# Trials


def trials(process: Process, reads: int) -> int:
    return sum(process.latency.to_try(["one"], process.busy) == "one" for _ in range(reads))


def trials_in_rounds(process: Process, rounds: int, reads: int) -> list[int]:
    found = []
    for _ in range(rounds):
        process.judge("one", "other")
        found.append(trials(process, reads))
    return found


@pytest.mark.parametrize("reads", [50, 10_000])
def test_where_many_read_a_slow_node_is_tried_once_in_four_rounds(process: Process, reads: int) -> None:
    # Each trial holds a thread for as long as the node is slow, however many read.
    found = trials_in_rounds(process, 40, reads)
    assert sum(found) in {9, 10}
    assert max(found) == 1


def test_a_slow_node_gets_at_most_one_read_of_two_hundred(process: Process) -> None:
    found = trials_in_rounds(process, 42, 40)
    assert sum(found) in {8, 9}


def test_where_few_read_a_slow_node_is_tried_once_in_eight_rounds(process: Process) -> None:
    assert 4 <= sum(trials_in_rounds(process, 40, 5)) <= 5


def test_a_trial_that_was_fast_is_followed_by_another_in_the_next_round(process: Process) -> None:
    turn_slow(process)
    rounds = 0
    while process.judge("one", "other") or rounds == 0:
        rounds += 1
        process.read("other", FAST, SEVERAL)
        if trials(process, 5):
            process.read("one", FAST)
    assert rounds <= 13  # of a second at most: back within 15 s


def test_a_slow_node_is_not_tried_while_a_trial_is_under_way(process: Process) -> None:
    (held,) = process.hang("one")
    assert sum(trials_in_rounds(process, 20, 1000)) == 0
    held.end()
    assert trials(process, 1) == 1


# Room


def test_before_anything_is_known_a_node_that_hangs_holds_not_every_thread(process: Process) -> None:
    candidates = [("one", 1.0), ("other", 1.0)]
    for _ in range(8):
        # The worst chance: each thread is sent there while there is room.
        process.hang(with_room(candidates, process.busy)[0][0])
    assert process.busy("one") <= 5


@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(0.01, 100)), min_size=1, max_size=20),
)
def test_there_is_room_somewhere(nodes: list[tuple[int, float]]) -> None:
    waiting = {str(number): count for number, (count, _) in enumerate(nodes)}
    candidates = [(str(number), weight) for number, (_, weight) in enumerate(nodes)]
    found = with_room(candidates, waiting.__getitem__)
    assert found
    assert set(found) <= set(candidates)


def test_a_node_with_more_weight_has_room_for_more(process: Process) -> None:
    process.hang("one", 5)
    process.hang("other", 3)
    assert [alias for alias, _ in with_room([("one", 3.0), ("other", 1.0)], process.busy)] == ["one"]


def test_two_reads_at_once_are_never_too_many(process: Process) -> None:
    process.hang("one", 1)
    candidates = [(node, 1.0) for node in ("one", *"abcdefgh")]
    assert with_room(candidates, process.busy) == candidates


def test_of_two_that_become_slow_one_after_the_other_none_is_slow(comparison: Comparison) -> None:
    assert not ever(comparison, SEVERAL, one=[FAST] * 50, other=[FAST] * 50)
    assert not ever(comparison, 1, one=[FAST] * 40 + [SLOW] * 3, other=[FAST] * 2 + [SLOW] * 10)
    # So few are answered now that most of what is remembered of the first is fast.
    assert not ever(comparison, SEVERAL, one=[SLOW] * 2, other=[SLOW] * 3)


# The balancer "least_busy"


def picks(
    process: Process, *candidates: tuple[str, float], typical: dict[str, float] | None = None
) -> dict[str, float]:
    source = random.Random(7)
    balancer = LeastBusy(process.busy, (typical or {}).get, source.random)
    count = Counter(balancer.pick(candidates) for _ in range(20_000))
    return {node: count[node] / 20_000 for node, _ in candidates}


def shares(*expected: float) -> Sequence[Any]:
    return [pytest.approx(each, abs=0.02) for each in expected]


def test_of_two_that_are_idle_and_alike_each_is_picked_by_weight(process: Process) -> None:
    assert [*picks(process, ("one", 3.0), ("other", 1.0)).values()] == shares(0.75, 0.25)


def test_of_two_the_one_with_fewer_reads_under_way_is_picked(process: Process) -> None:
    process.hang("one")
    assert picks(process, ("one", 1.0), ("other", 1.0)) == {"one": 0.0, "other": 1.0}
    assert picks(process, ("one", 1.0), ("other", 1.0), typical={"one": 0.001, "other": 0.01})["other"] == 1.0
    found = picks(process, ("one", 1.0), ("other", 1.0), ("third", 1.0))
    assert [*found.values()] == shares(0.0, 0.5, 0.5)


def test_of_two_as_busy_the_faster_one_is_picked(process: Process) -> None:
    found = picks(process, ("one", 1.0), ("other", 1.0), typical={"one": 0.02, "other": 0.01})
    assert [*found.values()] == shares(0.25, 0.75)


def test_reads_under_way_count_by_weight(process: Process) -> None:
    process.hang("one", 2)
    process.hang("other", 1)
    found = picks(process, ("one", 3.0), ("other", 1.0))
    assert found == {"one": 1.0, "other": 0.0}
