"""Is everything counted once, whoever counts?"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from django_gmf_router.postgres import tallies
from django_gmf_router.postgres.tallies import Tally

THREADS, EACH = 8, 3 * tallies.MOST_WAITING


def test_what_many_threads_count_is_all_there() -> None:
    tally: Tally[int] = Tally()

    def count(number: int) -> None:
        for _ in range(EACH):
            tally.add(number % 2)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(count, range(THREADS)))
    assert tally.counts() == {0: THREADS * EACH / 2, 1: THREADS * EACH / 2}


def test_what_is_taken_is_new_and_stays_in_the_counts() -> None:
    tally: Tally[str] = Tally()
    tally.add("one")
    assert tally.take() == {"one": 1}
    tally.add("one")
    tally.add("two")
    assert tally.counts() == {"one": 2, "two": 1}
    assert tally.take() == {"one": 1, "two": 1}
    assert tally.take() == {}
    assert tally.counts() == {"one": 2, "two": 1}


def test_what_waits_is_bounded() -> None:
    tally: Tally[str] = Tally()
    for _ in range(3 * tallies.MOST_WAITING):
        tally.add("one")
        assert len(tally._waiting) < tallies.MOST_WAITING


def test_who_counts_while_it_is_added_up_counts_too() -> None:
    # So does a stream that the garbage collector ends in the midst of it.
    tally: Tally[object] = Tally()

    class Counting:
        def __hash__(self) -> int:
            if not nested:
                nested.append(True)
                tally.add("within")
                tally.take()
            return 1

    nested: list[bool] = []
    what = Counting()
    tally.add(what)
    assert tally.counts() == {what: 1, "within": 1}


def test_who_adds_up_while_it_is_added_up_takes_what_is_left() -> None:
    tally: Tally[str] = Tally()

    class Collected(deque[str]):
        """What waits, whose taking the garbage collector interrupts once: when it comes nobody can choose."""

        def popleft(self) -> str:
            if not nested:
                nested.append(True)
                tally.counts()
            return super().popleft()

    nested: list[bool] = []
    tally._waiting = Collected(["one", "two"])
    assert tally.counts() == {"one": 1, "two": 1}


def test_a_forked_process_begins_with_none() -> None:
    tally: Tally[str] = Tally()
    tally.add("the parent's")
    read, write = os.pipe()
    with tally._lock:  # as of another thread, which the child does not have
        pid = os.fork()
        if pid == 0:
            tally.add("the child's")
            os.write(write, str(tally.counts()).encode())
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 100).decode() == '{"the child\'s": 1}'
    os.close(read)
    os.close(write)
