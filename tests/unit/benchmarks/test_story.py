"""What is made of the requests of a site while one replica is slow?"""

from __future__ import annotations

import pytest

from benchmarks.groups.slow import _contestants
from benchmarks.slowness import OURS, WIRE
from benchmarks.slowness.clients import Request
from benchmarks.slowness.picture import picture
from benchmarks.slowness.story import SETTLED_SECONDS, Lengths, Story

SLOW, OTHER = 5001, 5002
LENGTHS = Lengths(warm_up=0, fast=5, slow=5, again=20, both=5)
FAST_AT, SLOW_AT, AGAIN_AT, BOTH_AT = 100.0, 105.0, 113.0, 133.0
MOMENTS = {"fast": FAST_AT, "slow": SLOW_AT, "again": AGAIN_AT, "both": BOTH_AT}


def answered(began: float, seconds: float, rate: float, *ports: int, status: int = 200) -> list[Request]:
    """Requests that end at an even rate in some seconds, with two reads each, by the ports in turn."""
    return [
        Request(began + number / rate - 0.1, 0.1, status, [ports[number % len(ports)]] * 2)
        for number in range(1, int(seconds * rate))
    ]


def story(*requests: list[Request]) -> Story:
    found = [request for some in requests for request in some]
    return Story(site=OURS, way=WIRE, ports=(SLOW, OTHER), lengths=LENGTHS, moments=MOMENTS, requests=found)


def lived_through(*, back_after: float) -> Story:
    """A site that leaves the slow replica, and comes back to it so many seconds after it is fast again."""
    back_at = AGAIN_AT + back_after
    return story(
        answered(FAST_AT, 5, 100, SLOW, OTHER),
        answered(SLOW_AT, back_at - SLOW_AT, 50, OTHER),
        answered(back_at, BOTH_AT - back_at, 100, SLOW, OTHER),
        answered(BOTH_AT, 8, 10, SLOW, OTHER),
    )


@pytest.mark.parametrize("after", [0, 4, 12])
def test_a_share_is_back_with_the_first_second_that_has_it(after: float) -> None:
    # A second that is a quarter short of it has less than 0.8; so the figure is that of its end.
    assert lived_through(back_after=after).back_seconds == pytest.approx(after + 1, abs=0.26)


def test_a_share_that_never_comes_back_is_told_as_all_of_the_time_that_there_was() -> None:
    assert lived_through(back_after=20).back_seconds == LENGTHS.again


def test_the_time_to_notice_counts_for_nothing() -> None:
    noticing = answered(SLOW_AT, SETTLED_SECONDS, 1, SLOW)
    told = story(answered(FAST_AT, 5, 100, SLOW, OTHER), noticing, answered(SLOW_AT + SETTLED_SECONDS, 5, 100, OTHER))
    assert told.slow.throughput == pytest.approx(100, rel=0.01)
    assert told.slow.reads(SLOW) == 0


def test_a_replica_that_serves_nothing_while_both_are_slow_is_far_beyond_the_budget() -> None:
    idler, busier = story(answered(BOTH_AT, 8, 10, OTHER)).read_seconds
    assert idler / busier > 50


def test_what_failed_is_no_throughput() -> None:
    told = story(answered(FAST_AT, 5, 100, SLOW), answered(FAST_AT, 5, 20, SLOW, status=503))
    assert len(told.failed) == 99
    assert told.fast.throughput == pytest.approx(499 / (2 * LENGTHS.fast))


def test_the_picture_has_a_line_for_each_story() -> None:
    told = {
        "site": OURS,
        "bin_seconds": 0.5,
        "slow_at_seconds": 5,
        "fast_at_seconds": 13,
        "both_fast": 100.0,
        "throughput": [100.0, 50.0],
    }
    assert picture([{**told, "way": "wire"}, {**told, "way": "queries"}]).count("<polyline") == 2


def test_a_failed_request_is_counted() -> None:
    told = story(lived_through(back_after=0).requests, answered(FAST_AT, 5, 1, SLOW, status=503))
    (failed,) = [one.run(1) for one in _contestants(told) if one.name.endswith("failed requests")]
    assert failed == 4
