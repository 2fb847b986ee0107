"""How long, and how often, is a replica looked for that has what a job must see?"""

from __future__ import annotations

from typing import Any

import pytest

from django_gmf_router.consistency.tokens import Mark
from django_gmf_router.own_writes import jobs
from django_gmf_router.own_writes.jobs import UnitOfJob
from django_gmf_router.replicas.pool import Wanted

NONE_HAS_IT, FOUND = (None, "consistency"), ("replica_1", "")


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(jobs, "time", made)
    return made


def look(seconds: float, answers: list[Any], position: int | None = 7) -> tuple[Any, UnitOfJob, list[Any]]:
    """Answer what was picked, for whom, and the answers that nobody asked for."""
    unit, left = UnitOfJob("job", None, seconds), [*answers]
    wanted = Wanted(mark=Mark(cluster="default", position=position), time=0)
    return unit.pick(wanted, lambda: left.pop(0)), unit, left


def test_it_is_looked_for_again_until_one_has_it(clock: Clock) -> None:
    picked, unit, left = look(1.0, [NONE_HAS_IT, NONE_HAS_IT, FOUND])
    assert (picked, left) == (FOUND, [])
    assert unit._patience_seconds == pytest.approx(0.9)


def test_after_its_time_the_primary_serves_and_nobody_waits_again(clock: Clock) -> None:
    picked, unit, _ = look(0.2, [NONE_HAS_IT] * 10)
    assert (picked, unit._patience_seconds) == (NONE_HAS_IT, 0.0)
    assert clock.now == pytest.approx(100.2, abs=jobs.STEP_SECONDS)


@pytest.mark.parametrize(
    ("seconds", "answer", "position"),
    [(0.0, NONE_HAS_IT, 7), (1.0, (None, "no_replica"), 7), (1.0, (None, "shared"), 7), (1.0, NONE_HAS_IT, None)],
    ids=["in no patience", "no replica", "shared", "only the time is known"],
)
def test_nobody_waits_where_it_would_not_help(clock: Clock, seconds: float, answer: Any, position: int | None) -> None:
    picked, _, left = look(seconds, [answer, FOUND], position)
    assert (picked, left, clock.now) == (answer, [FOUND], 100.0)
