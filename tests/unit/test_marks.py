"""What counts of two marks of one cluster?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_gmf_router.consistency.tokens import Mark


def mark(position: int | None = 100, **changed: Any) -> Mark:
    return Mark(**{"cluster": "default", "system_identifier": "7", "timeline": 1, "position": position, **changed})


marks = st.builds(
    mark,
    position=st.none() | st.integers(0, 2**64 - 1),
    system_identifier=st.none() | st.sampled_from(["7", "8"]),
    timeline=st.none() | st.integers(1, 3),
)


@pytest.mark.parametrize(("one", "other"), [(100, 200), (200, 100)])
def test_the_larger_position_counts(one: int, other: int) -> None:
    assert mark(one).followed_by(mark(other)) == mark(200)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 1)])
def test_a_newer_timeline_counts_with_its_position(one: int, other: int) -> None:
    found = mark(900 - one, timeline=one).followed_by(mark(900 - other, timeline=other))
    assert found == mark(898, timeline=2)


def test_a_newer_timeline_counts_even_where_it_is_time_only() -> None:
    assert mark(900).followed_by(mark(None, timeline=2)) == mark(None, timeline=2)


def test_the_later_of_two_systems_counts() -> None:
    assert mark(900).followed_by(mark(5, system_identifier="8")) == mark(5, system_identifier="8")


def test_what_one_could_not_tell_is_taken_from_the_other() -> None:
    unknown = mark(200, system_identifier=None, timeline=None)
    assert mark(100).followed_by(unknown) == unknown.followed_by(mark(100)) == mark(200)


def test_a_later_position_lies_after_a_write_of_which_only_the_time_is_known() -> None:
    assert mark(None).followed_by(mark(100)) == mark(100)


def test_a_later_write_of_which_only_the_time_is_known_may_lie_after_every_position() -> None:
    assert mark(100).followed_by(mark(None)) == mark(None)


@pytest.mark.parametrize(("one", "other"), [(None, 100), (100, None), (None, None)])
def test_where_the_order_is_not_certain_time_only_counts(one: int | None, other: int | None) -> None:
    assert mark(one).followed_by(mark(other), order_is_certain=False) == mark(None)


@given(marks, marks, st.booleans())
def test_what_counts_never_lies_before_a_position_of_the_same_timeline(one: Mark, other: Mark, certain: bool) -> None:
    found = one.followed_by(other, order_is_certain=certain)
    if found.position is None or one.system_identifier != other.system_identifier or one.timeline != other.timeline:
        return
    assert found.position >= max(one.position or 0, other.position or 0)


@given(marks, marks)
def test_uncertain_order_gives_one_answer_within_one_system(one: Mark, other: Mark) -> None:
    if one.system_identifier != other.system_identifier or one.timeline == other.timeline is None:
        return
    forth = one.followed_by(other, order_is_certain=False)
    back = other.followed_by(one, order_is_certain=False)
    assert (forth.position, forth.system_identifier) == (back.position, back.system_identifier)
