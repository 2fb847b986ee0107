"""Is a lag what the replica is behind, and nothing else?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_gmf_router.postgres.positions import BLOCK_BYTES
from django_gmf_router.replicas.observer import (
    LONGEST_RECORD_BYTES,
    MOST_SAMPLES,
    PrimaryTrail,
    has_diverged,
    reachable,
)
from django_gmf_router.replicas.readings import Reading

SEGMENT = 16 * 1024 * 1024


def primary(position: int, **values: Any) -> Reading:
    return Reading(up=True, role="primary", position=position, timeline=1, **values)


def replica(position: int | None, **values: Any) -> Reading:
    return Reading(up=True, role="replica", position=position, **values)


def a_trail(*samples: tuple[int, float]) -> PrimaryTrail:
    trail = PrimaryTrail(settle_seconds=0.5)
    for position, at in samples:
        trail.sample(primary(position), at)
    return trail


def test_a_replica_that_has_come_to_where_the_primary_is_has_no_lag() -> None:
    assert a_trail((100, 1.0)).lag(replica(100), 2.0) == 0.0


def test_nothing_grows_while_nobody_writes() -> None:
    trail = a_trail(*((100, float(second)) for second in range(60)))
    assert trail.lag(replica(100, replay_age=72.0), 60.0) == 0.0


def test_the_lag_is_the_time_since_the_primary_was_first_seen_beyond() -> None:
    trail = a_trail((100, 1.0), (200, 2.0), (300, 3.0), (300, 4.0))
    assert [trail.lag(replica(position), 10.0) for position in (100, 199, 200, 299, 300, 301)] == [8, 8, 7, 7, 0, 0]


def test_after_a_pause_the_server_says_how_far_back_within_the_pause_the_primary_was_there() -> None:
    trail = a_trail((100, 1.0), (200, 31.0))
    assert [trail.lag(replica(100, replay_age=age), 31.2) for age in (None, 0.1, 20.0, 90.0)] == [
        pytest.approx(0.2),
        pytest.approx(0.2),
        20.0,
        pytest.approx(30.2),
    ]


def test_a_primary_that_was_away_in_between_wrote_nothing_then() -> None:
    trail = a_trail((50, 0.0), (100, 1.0))
    trail.lose()
    trail.sample(primary(200), 31.0)
    assert trail.lag(replica(100, replay_age=90.0), 31.2) == pytest.approx(0.2)


def test_a_write_of_this_very_round_is_no_lag() -> None:
    assert a_trail((100, 1.0), (200, 2.0)).lag(replica(100), 1.9) == 0.0


def test_what_a_replica_received_and_did_not_replay_is_lag() -> None:
    assert a_trail((100, 1.0), (200, 2.0)).lag(replica(100), 5.0) == 3.0


def test_a_replica_cut_off_from_its_primary_lags_though_it_replayed_all_it_received() -> None:
    assert a_trail((100, 1.0), (200, 2.0)).lag(replica(100), 5.0) == 3.0


def test_a_received_position_below_the_replayed_one_is_no_lag() -> None:
    """After a restart the receiver begins with the segment."""
    assert a_trail((SEGMENT + 800, 1.0)).lag(replica(SEGMENT + 800), 9.0) == 0.0


def test_the_lag_is_unknown_before_the_first_sample_and_where_there_are_no_positions() -> None:
    assert a_trail().lag(replica(100), 2.0) is None
    trail = a_trail()
    trail.sample(Reading(up=True), 1.0)
    assert trail.lag(replica(100), 2.0) is None
    assert a_trail((100, 1.0)).lag(replica(None), 2.0) is None


def test_the_lag_is_unknown_while_the_primary_is_away_and_measured_on_when_it_is_back() -> None:
    trail = a_trail((100, 1.0), (200, 2.0))
    trail.lose()
    assert trail.lag(replica(100), 5.0) is None
    trail.sample(primary(200), 9.0)
    assert trail.lag(replica(100), 10.0) == 8.0


@pytest.mark.parametrize(
    "another",
    [primary(90), Reading(up=True, role="primary", position=300, timeline=2), primary(300, system_identifier="8")],
)
def test_another_primary_begins_a_new_trail(another: Reading) -> None:
    trail = a_trail((100, 1.0), (200, 2.0))
    trail.sample(another, 6.0)
    assert trail.lag(replica(50), 6.25) == 0.25


def test_a_process_that_has_just_begun_takes_the_servers_word_for_what_was_before() -> None:
    trail = a_trail((500, 1.0), (600, 2.0))
    assert trail.lag(replica(100, replay_age=90.0), 1.4) == pytest.approx(0.4)
    assert trail.lag(replica(100, replay_age=90.0), 2.0) == 90.0
    assert trail.lag(replica(100, replay_age=None), 2.0) == 1.0
    assert trail.lag(replica(500, replay_age=90.0), 4.0) == 2.0


def test_what_is_not_flushed_is_not_missed() -> None:
    """A transaction that wrote and waits: nobody sends its records, however long it waits."""
    trail = PrimaryTrail(settle_seconds=0.5)
    for second in range(20):
        trail.sample(primary(900, flushed=800), float(second))
    assert trail.lag(replica(800), 20.0) == 0.0


def test_a_record_that_is_flushed_in_part_is_not_missed() -> None:
    flushed = 100 * BLOCK_BYTES
    assert reachable(primary(flushed + 800, flushed=flushed)) == flushed - LONGEST_RECORD_BYTES
    assert reachable(primary(flushed, flushed=flushed)) == flushed
    assert reachable(primary(flushed + 800, flushed=flushed + 8)) == flushed + 8


def test_a_flush_that_came_after_the_position_was_read_counts_up_to_it() -> None:
    assert reachable(primary(100, flushed=200)) == 100


def test_memory_is_bounded_and_a_long_lag_is_still_told() -> None:
    trail = a_trail()
    for second in range(1, 20_000):
        trail.sample(primary(100 * second), float(second))
        assert len(trail._samples) <= MOST_SAMPLES
    now = 20_000.0
    assert trail.lag(replica(99), now) == now - 1
    assert trail.lag(replica(100 * 10_000), now) == pytest.approx(10_000, rel=1 / 8)
    assert trail.lag(replica(100 * 19_990), now) == 9.0


def test_a_replica_beyond_a_later_position_of_the_primary_has_diverged() -> None:
    assert has_diverged(replica(101), primary(100))
    assert not has_diverged(replica(100), primary(100))
    assert not has_diverged(None, primary(100))
    assert not has_diverged(replica(None), primary(100))
    assert not has_diverged(replica(100), Reading(up=True, role="primary"))


@given(
    writes=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    replayed=st.integers(0, 30),
    now=st.floats(0, 5),
)
def test_the_lag_is_that_of_a_model_that_looks_at_every_sample(writes: list[int], replayed: int, now: float) -> None:
    positions = [sum(writes[: index + 1]) for index in range(len(writes))]
    trail = a_trail(*((position, float(second)) for second, position in enumerate(positions)))
    at = len(writes) + now
    beyond = [at - second for second, position in enumerate(positions) if position > replayed]
    assert trail.lag(replica(replayed), at) == max(beyond, default=0.0)
