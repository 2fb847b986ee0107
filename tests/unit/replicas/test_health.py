"""Does a node go down, lag and come back by the rules, whatever the order of its readings?

The transitions, each with an example in TRANSITIONS, and reached by the state machine below, whose model knows the
whole history and keeps no state: up to down (a probe timed out, was refused, failed twice; a request's connection
failed; promoted or demoted; diverged), up to lagging, lagging to up (below half, unknown), lagging to down, down to up,
down to lagging; staying up (one failure, lag below the limit, unknown lag), lagging (between half and the limit, one
failure), down (one good reading, a failure between two good ones). Not in the model: up to slow and back, slow to
lagging and to down, and from there to slow.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from django_gmf_router.replicas.health import DIVERGED, Moment, NodeHealth, State, Tracker
from django_gmf_router.replicas.readings import Reading

MAX_LAG = 10.0
UP, SLOW, LAGGING, DOWN = State.UP, State.SLOW, State.LAGGING, State.DOWN
SINCE = 1_000_000.0


def a_tracker(role: str = "replica", *, balanced: bool = False) -> Tracker:
    return Tracker(NodeHealth(alias="node", role=role, since=SINCE, balanced=balanced), max_lag_seconds=MAX_LAG)


def good(**values: Any) -> Reading:
    return replace(Reading(up=True, role="replica", position=100, started=1.0), **values)


FAILED = Reading(up=False, error="server closed the connection")
TIMED_OUT = Reading(up=False, error="timeout expired", timed_out=True)
REFUSED = Reading(up=False, error="connection refused", refused=True)
PROMOTED = good(role="primary")


def at(second: float) -> Moment:
    return Moment(monotonic=second, wall=SINCE + second)


def take(tracker: Tracker, step: Any, second: float = 1.0) -> NodeHealth:
    """Take a step of a script: a number or None is a good reading with that lag, "refused" a request's connection."""
    if step in {"slow", "fast"}:
        return tracker.compare(0.3, at(second), is_slow=step == "slow")
    if step == "request":
        return tracker.fail("refused", at(second))
    if step == "diverged":
        return tracker.observe(good(), 0.0, at(second), diverged=True)
    if isinstance(step, Reading):
        return tracker.observe(step, None, at(second))
    return tracker.observe(good(), step, at(second))


TRANSITIONS: dict[str, tuple[list[Any], list[str]]] = {
    "up to slow and back": ([0.0, "slow", 0.0, FAILED, 0.0, "fast", 0.0], [UP, SLOW, SLOW, SLOW, SLOW, UP, UP]),
    "slow to lagging to slow": ([0.0, "slow", 11.0, "slow", 4.0], [UP, SLOW, LAGGING, LAGGING, SLOW]),
    "lagging, no more slow, to up": ([0.0, "slow", 11.0, "fast", 4.0], [UP, SLOW, LAGGING, LAGGING, UP]),
    "slow to down to slow": (["slow", REFUSED, "slow", 0.0, 0.0], [SLOW, DOWN, DOWN, DOWN, SLOW]),
    "up to down: timed out": ([0.0, TIMED_OUT], [UP, DOWN]),
    "up to down: refused": ([0.0, REFUSED], [UP, DOWN]),
    "up to down: never answered": ([REFUSED], [DOWN]),
    "up to down: failed twice": ([0.0, FAILED, FAILED], [UP, UP, DOWN]),
    "up to down: a request's connection": ([0.0, "request"], [UP, DOWN]),
    "up to down: promoted": ([0.0, PROMOTED], [UP, DOWN]),
    "up to down: diverged": ([0.0, "diverged"], [UP, DOWN]),
    "up to lagging": ([0.0, 10.1], [UP, LAGGING]),
    "lagging to up: below half": ([11.0, 4.9], [LAGGING, UP]),
    "lagging to up: caught up": ([11.0, 0.0], [LAGGING, UP]),
    "lagging to up: unknown, the primary is away": ([11.0, None], [LAGGING, UP]),
    "lagging to down: timed out": ([11.0, TIMED_OUT], [LAGGING, DOWN]),
    "lagging to down: failed twice": ([11.0, FAILED, FAILED], [LAGGING, LAGGING, DOWN]),
    "lagging to down: a request's connection": ([11.0, "request"], [LAGGING, DOWN]),
    "down to up": ([REFUSED, 0.0, 0.0], [DOWN, DOWN, UP]),
    "down to up: lag unknown": ([REFUSED, None, None], [DOWN, DOWN, UP]),
    "down to up: lag below the limit": ([REFUSED, 9.0, 9.0], [DOWN, DOWN, UP]),
    "down to up: a replica again": ([PROMOTED, good(started=2.0), good(started=2.0)], [DOWN, DOWN, UP]),
    "down to lagging": ([REFUSED, 11.0, 11.0], [DOWN, DOWN, LAGGING]),
    "stays up: one failure": ([0.0, FAILED, 0.0, FAILED, 0.0], [UP] * 5),
    "stays up: at the limit": ([10.0, None, 5.0], [UP] * 3),
    "stays lagging: between half and the limit": ([11.0, 9.0, 5.0], [LAGGING] * 3),
    "stays lagging: one failure": ([11.0, FAILED, 9.0], [LAGGING] * 3),
    "stays down: a failure between": ([REFUSED, 0.0, FAILED, 0.0, 0.0], [DOWN, DOWN, DOWN, DOWN, UP]),
    "stays down: a request's failure between": ([REFUSED, 0.0, "request", 0.0, 0.0], [DOWN, DOWN, DOWN, DOWN, UP]),
    "stays down: diverged until it goes back": (
        ["diverged", 0.0, 0.0, good(position=99), good(position=99)],
        [DOWN, DOWN, DOWN, DOWN, UP],
    ),
    "stays down: diverged until it restarts": (
        ["diverged", 0.0, FAILED, good(started=2.0), good(started=2.0)],
        [DOWN, DOWN, DOWN, DOWN, UP],
    ),
}


@pytest.mark.parametrize("name", TRANSITIONS)
def test_a_transition(name: str) -> None:
    steps, states = TRANSITIONS[name]
    tracker = a_tracker()
    assert [take(tracker, step).state for step in steps] == states


def test_a_node_that_was_never_probed_counts_as_up() -> None:
    health = a_tracker().health
    assert (health.state, health.error, health.lag, health.sampled_at) == (UP, None, None, None)


def test_a_primary_that_is_in_recovery_is_down_and_says_so() -> None:
    tracker = a_tracker("primary")
    assert tracker.observe(good(), None, at(1)).error == "The server says that it is a replica."
    assert tracker.health.state == DOWN


def test_a_balanced_name_is_not_down_since_one_of_its_servers_refuses_was_promoted_or_diverged() -> None:
    tracker = a_tracker(balanced=True)
    assert [take(tracker, step).state for step in (0.0, REFUSED, PROMOTED, "diverged", 0.0)] == [UP] * 5


def test_a_balanced_name_is_down_when_it_times_out_or_refuses_twice() -> None:
    assert take(a_tracker(balanced=True), TIMED_OUT).state == DOWN
    tracker = a_tracker(balanced=True)
    assert [take(tracker, step).state for step in (0.0, REFUSED, REFUSED)] == [UP, UP, DOWN]


def test_a_server_that_cannot_tell_its_role_is_up() -> None:
    assert a_tracker("primary").observe(Reading(up=True), None, at(1)).state == UP


def test_why_a_node_is_down_is_said_until_it_is_up() -> None:
    tracker = a_tracker()
    errors = [take(tracker, step).error for step in (FAILED, 0.0, "diverged", 0.0, good(position=9), good(position=9))]
    assert errors == [FAILED.error, None, DIVERGED, DIVERGED, DIVERGED, None]


def test_since_is_the_time_of_the_last_change_of_state() -> None:
    tracker = a_tracker()
    steps = [0.0, FAILED, FAILED, FAILED, 0.0, 0.0, 11.0]
    since = [take(tracker, step, second).since - SINCE for second, step in enumerate(steps, 1)]
    assert since == [0, 0, 3, 3, 3, 6, 7]


def test_the_generation_is_raised_by_coming_back_restarting_and_changing_role() -> None:
    tracker = a_tracker()
    steps = [0.0, FAILED, 0.0, good(started=2.0), REFUSED, good(started=2.0), good(started=2.0)]
    assert [take(tracker, step).generation for step in steps] == [0, 0, 0, 1, 1, 1, 2]
    promoted = [take(tracker, step).generation for step in (good(role="primary", started=2.0), good(started=2.0))]
    assert promoted == [3, 4]


def test_a_restart_that_no_probe_fell_into_raises_the_generation_of_a_node_that_stays_up() -> None:
    tracker = a_tracker()
    assert take(tracker, 0.0).generation == 0
    health = take(tracker, good(started=2.0))
    assert (health.state, health.generation) == (UP, 1)


def test_one_failed_probe_leaves_what_is_known_and_a_node_that_is_down_has_no_lag_nor_position() -> None:
    tracker = a_tracker()
    take(tracker, 3.0, 1)
    health = take(tracker, FAILED, 2)
    assert (health.lag, health.position, health.sampled_at) == (3.0, 100, 1)
    health = take(tracker, FAILED, 3)
    assert (health.lag, health.position, health.sampled_at) == (None, None, 1)
    take(tracker, 0.0, 4)
    health = take(tracker, "request", 5)
    assert (health.lag, health.position, health.error) == (None, None, "refused")


def test_the_primarys_timeline_and_identity_are_kept() -> None:
    tracker = a_tracker("primary")
    tracker.observe(good(role="primary", timeline=3, system_identifier="7"), None, at(1))
    tracker.observe(FAILED, None, at(2))
    assert (tracker.health.timeline, tracker.health.system_identifier) == (3, "7")


def test_a_node_that_turns_slow_is_not_stale_and_says_since_when_and_how_slow() -> None:
    tracker = a_tracker()
    take(tracker, 0.0, 1)
    health = take(tracker, "slow", 2)
    assert (health.since - SINCE, health.generation, health.latency) == (2, 0, 0.3)
    assert (take(tracker, "slow", 3).since - SINCE, take(tracker, "fast", 4).since - SINCE) == (2, 4)


# A model that keeps no state: everything is derived from the whole history, each time.


class Model:
    """What the rules say of a history of (reading or "request", lag, diverged)."""

    def __init__(self) -> None:
        self.history: list[tuple[Reading | None, float | None, bool]] = []

    def kind(self, index: int) -> str:
        reading = self.history[index][0]
        if reading is None:
            return "fatal"
        if not reading.up:
            return "fatal" if reading.timed_out or reading.refused else "bad"
        return "fatal" if reading.role == "primary" or self.has_diverged(index) else "good"

    def answers(self, last: int) -> list[int]:
        return [i for i in range(last + 1) if (reading := self.history[i][0]) is not None and reading.up]

    def before(self, index: int) -> Reading | None:
        earlier = self.answers(index - 1)
        return self.history[earlier[-1]][0] if earlier else None

    def restarted(self, index: int) -> bool:
        reading, before = self.history[index][0], self.before(index)
        if before is None or reading is None or not reading.up:
            return False
        return reading.started != before.started or reading.role != before.role

    def freed(self, index: int) -> bool:
        reading, before = self.history[index][0], self.before(index)
        went_back = before is not None and reading is not None and reading.position < before.position  # type: ignore[operator]
        return self.restarted(index) or went_back

    def has_diverged(self, index: int) -> bool:
        answers = self.answers(index)
        marks = [i for i in answers if self.history[i][2]]
        return any(not any(self.freed(i) for i in answers if i >= mark) for mark in marks)

    def state(self, last: int) -> str:
        kinds = [self.kind(i) for i in range(last + 1)]
        readings = [i for i in range(last + 1) if self.history[i][0] is not None]
        bad_pairs = {b for a, b in pairwise(readings) if kinds[a] == kinds[b] == "bad"}
        falls = [i for i in range(last + 1) if kinds[i] == "fatal" or i in bad_pairs]
        begin = 0
        if falls:
            after = range(falls[-1] + 1, last + 1)
            pairs = [i for i in after if i - 1 in after and kinds[i - 1] == kinds[i] == "good"]
            if not pairs:
                return DOWN
            begin = pairs[0]
        lags = [self.history[i][1] for i in range(begin, last + 1) if kinds[i] == "good"]
        decided = [lag is not None and lag > MAX_LAG for lag in lags if lag is None or lag > MAX_LAG or lag < 5]
        return LAGGING if decided and decided[-1] else UP

    def generation(self) -> int:
        states = [UP, *(self.state(i) for i in range(len(self.history)))]
        came_back = [before == DOWN != after for before, after in pairwise(states)]
        return sum(came or self.restarted(i) for i, came in enumerate(came_back))


class HealthMachine(RuleBasedStateMachine):
    """A replica, its restarts, promotions and failures, and the model beside the tracker."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = a_tracker()
        self.model = Model()
        self.server = good()

    def observe(self, reading: Reading, lag: float | None = None, diverged: bool = False) -> None:
        self.model.history.append((reading, lag, diverged))
        self.tracker.observe(reading, lag, at(len(self.model.history)), diverged=diverged)

    @rule(lag=st.sampled_from([None, 0.0, 4.9, 5.0, 9.0, 10.0, 10.1, 60.0]))
    def answers(self, lag: float | None) -> None:
        self.observe(self.server, lag)

    @rule(lag=st.sampled_from([None, 0.0, 11.0]))
    def answers_twice(self, lag: float | None) -> None:
        self.observe(self.server, lag)
        self.observe(self.server, lag)

    @rule(reading=st.sampled_from([FAILED, TIMED_OUT, REFUSED]))
    def fails(self, reading: Reading) -> None:
        self.observe(reading)

    @rule()
    def fails_in_a_request(self) -> None:
        self.model.history.append((None, None, False))
        self.tracker.fail("refused", at(len(self.model.history)))

    @rule()
    def is_seen_to_have_diverged(self) -> None:
        self.observe(self.server, 0.0, diverged=True)

    @rule(steps=st.integers(-2, 2))
    def moves(self, steps: int) -> None:
        position = self.server.position
        assert position is not None
        self.server = replace(self.server, position=position + steps)

    @rule()
    def restarts(self) -> None:
        assert self.server.started is not None
        self.server = replace(self.server, started=self.server.started + 1)

    @rule()
    def changes_its_role(self) -> None:
        self.server = replace(self.server, role="primary" if self.server.role == "replica" else "replica")

    @invariant()
    def tracker_and_model_agree(self) -> None:
        if self.model.history:
            found = (self.tracker.health.state, self.tracker.health.generation)
            assert found == (self.model.state(len(self.model.history) - 1), self.model.generation())


HealthMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
TestHealthMachine = HealthMachine.TestCase
