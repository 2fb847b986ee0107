"""Is everything counted once, whoever counts?"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType

import pytest

from django_gmf_router.postgres.tallies import Tally
from django_gmf_router.routing.reads import ViewRead
from django_gmf_router.routing.unit_of_work import Decision
from django_gmf_router.settings.values import Role

THREADS, EACH = 8, 5000


def test_what_many_threads_count_is_all_there() -> None:
    tally: Tally[int] = Tally()

    def count(number: int) -> None:
        for _ in range(EACH):
            next(tally[number % 2])

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(count, range(THREADS)))
    assert tally.counts() == {0: THREADS * EACH / 2, 1: THREADS * EACH / 2}


def test_what_is_taken_is_new_and_stays_in_the_counts() -> None:
    tally: Tally[str] = Tally()
    next(tally["one"])
    assert tally.take() == {"one": 1}
    next(tally["one"])
    next(tally["two"])
    assert tally.counts() == {"one": 2, "two": 1}
    assert tally.take() == {"one": 1, "two": 1}
    assert tally.take() == {}
    assert tally.counts() == {"one": 2, "two": 1}


def test_to_look_counts_nothing() -> None:
    tally: Tally[int] = Tally()

    def count(number: int) -> list[int]:
        looks = []
        for each in range(EACH // 10):
            next(tally[each % 3])
            if number < THREADS / 4:
                looks.append(sum(tally.counts().values()))
        return looks

    with ThreadPoolExecutor(THREADS) as pool:
        for looks in pool.map(count, range(THREADS)):
            assert looks == sorted(looks)
    assert sum(tally.counts().values()) == THREADS * (EACH // 10)


@pytest.mark.parametrize("kind", [Decision, Role, ViewRead, str])
def test_what_is_counted_is_hashed_and_compared_by_c_where_no_thread_comes_between(kind: type) -> None:
    assert not isinstance(kind.__hash__, FunctionType)
    assert not isinstance(kind.__eq__, FunctionType)


def test_a_forked_process_begins_with_none() -> None:
    tally: Tally[str] = Tally()
    next(tally["the parent's"])
    read, write = os.pipe()
    with tally._lock:  # as of another thread, which the child does not have
        pid = os.fork()
        if pid == 0:
            next(tally["the child's"])
            os.write(write, str(tally.counts()).encode())
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 100).decode() == '{"the child\'s": 1}'
    os.close(read)
    os.close(write)
