"""How often did each thing happen in this process? Counted in any thread, without a lock."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from threading import Lock
from typing import TypeVar

from django_gmf_router.postgres import concurrency

T = TypeVar("T")


class Tally(defaultdict[T, "count[int]"]):
    """A counter for each thing that is counted: `next(tally[what])` counts `what`. A forked child begins with none.

    All of that happens within C, where no thread comes between: `what` is a string, or a tuple of some.
    """

    __slots__ = ("__weakref__", "_lock", "_looks", "_taken")

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__(count)
        self._begin()
        concurrency.on_fork(self._begin)

    def _begin(self) -> None:
        self.clear()
        self._lock = Lock()
        self._looks: dict[T, int] = {}
        self._taken: dict[T, int] = {}

    def counts(self) -> dict[T, int]:
        """Return all that was counted."""
        concurrency.look_for_fork()
        with self._lock:
            return self._look()

    def take(self) -> dict[T, int]:
        """Return what was counted since the last time."""
        concurrency.look_for_fork()
        with self._lock:
            before, self._taken = self._taken, self._look()
            new = {what: times - before.get(what, 0) for what, times in self._taken.items()}
        return {what: times for what, times in new.items() if times}

    def _look(self) -> dict[T, int]:
        # A copy: meanwhile others count what was not counted before.
        return {what: self._value(what, counter) for what, counter in dict(self).items()}

    def _value(self, what: T, counter: count[int]) -> int:
        # A counter cannot be looked at without a step: so many of its steps were looks.
        looks = self._looks.get(what, 0)
        self._looks[what] = looks + 1
        return next(counter) - looks
