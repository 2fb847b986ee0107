"""How often did each thing happen in this process? Counted in any thread, for the price of an appending."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import suppress
from threading import RLock
from typing import Generic, TypeVar

from django_gmf_router.postgres import forks

T = TypeVar("T")

MOST_WAITING = 1024
"""So many are handed in before one of those who do adds them up."""


class Tally(Generic[T]):
    """Counts by what is counted; a forked child begins with none.

    To hand in takes no lock: it is one operation of a deque, on the path of reads.
    """

    __slots__ = ("__weakref__", "_lock", "_new", "_taken", "_waiting")

    def __init__(self) -> None:
        """Begin with none."""
        self._begin()
        forks.on_fork(self._begin)

    def _begin(self) -> None:
        # The garbage collector may end an abandoned stream while its thread adds up, and so count within: an RLock.
        self._lock = RLock()
        self._waiting: deque[T] = deque()
        self._new: dict[T, int] = {}
        self._taken: dict[T, int] = {}

    def add(self, what: T) -> None:
        """Count `what`."""
        waiting = self._waiting
        waiting.append(what)
        if len(waiting) >= MOST_WAITING:
            forks.look()
            with self._lock:
                self._add_up()

    def counts(self) -> dict[T, int]:
        """Return all that was counted."""
        forks.look()
        with self._lock:
            self._add_up()
            return _sum(self._taken, self._new)

    def take(self) -> dict[T, int]:
        """Return what was counted since the last time."""
        forks.look()
        with self._lock:
            self._add_up()
            taken, self._new = self._new, {}
            self._taken = _sum(self._taken, taken)
        return taken

    def _add_up(self) -> None:
        waiting, found = self._waiting, []
        with suppress(IndexError):  # who came within has added it up
            for _ in range(len(waiting)):
                found.append(waiting.popleft())  # noqa: PERF401  what was taken is kept
        # Most are few objects again and again, whose own hash is Python's: they are hashed once.
        objects = dict(zip(map(id, found), found, strict=True))
        for key, times in Counter(map(id, found)).items():
            what = objects[key]
            self._new[what] = self._new.get(what, 0) + times


def _sum(one: dict[T, int], other: dict[T, int]) -> dict[T, int]:
    return {**one, **{what: one.get(what, 0) + times for what, times in other.items()}}
