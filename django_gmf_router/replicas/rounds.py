"""When is a node asked, and when is its answer late?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

JITTER = (0.8, 1.0)
"""Of the interval, never above it: budgets are promised in intervals."""


class Rounds:
    """The times of the rounds; a node that has not answered yet is left out, and holds up no other.

    Times are monotonic seconds.
    """

    def __init__(
        self,
        aliases: Iterable[str],
        *,
        interval_seconds: float,
        timeout_seconds: float,
        jitter: Callable[[float, float], float],
    ) -> None:
        """Take the nodes; the first round is due at once."""
        self._aliases = tuple(aliases)
        self._interval = interval_seconds
        self._timeout = timeout_seconds
        self._jitter = jitter
        self._next: float | None = None
        self._busy: set[str] = set()
        self._deadlines: dict[str, float] = {}
        self._extended: set[str] = set()

    def watch(self, aliases: Iterable[str]) -> None:
        """Ask these nodes from now on, and no others."""
        self._aliases = tuple(aliases)

    def begin(self, now: float) -> list[str]:
        """Begin a round if one is due; return the nodes to be asked now."""
        if self._next is not None and now < self._next:
            return []
        # The processes of a site begin together, at a restart: the jitter spreads what they ask.
        self._next = now + self._interval * self._jitter(*JITTER)
        asked = [alias for alias in self._aliases if alias not in self._busy]
        self._busy.update(asked)
        self._extended.difference_update(asked)
        self._deadlines.update(dict.fromkeys(asked, now + self._timeout))
        return asked

    def answered(self, alias: str) -> bool:
        """Note that a node can be asked again; return whether it was in time."""
        self._busy.discard(alias)
        return self._deadlines.pop(alias, None) is not None

    def awaited(self) -> int:
        """Return, in any thread, how many nodes may still answer in time."""
        return len(self._deadlines)

    def is_awaited(self, alias: str) -> bool:
        """Return whether a node may still answer in time."""
        return alias in self._deadlines

    def is_busy(self, alias: str) -> bool:
        """Return whether a node was asked and has not answered, late or not."""
        return alias in self._busy

    def give_up_late(self, now: float, more_seconds: Callable[[str], float]) -> list[str]:
        """Give up the nodes whose time is over, each once; return them.

        `more_seconds`: how much more a node has a right to, asked when its time is over.
        """
        for alias in {alias for alias, deadline in self._deadlines.items() if deadline <= now} - self._extended:
            # Once: it has the time of all its addresses then, and would be given it again and again.
            self._extended.add(alias)
            self._deadlines[alias] += more_seconds(alias)
        late = [alias for alias, deadline in self._deadlines.items() if deadline <= now]
        for alias in late:
            del self._deadlines[alias]
        return late

    def wait_until(self) -> float:
        """Return when there is something to do without an answer."""
        return min([self._next or 0.0, *self._deadlines.values()])

    def stood_still(self, seconds: float) -> None:
        """Give the nodes the time in which this process did not run: what was late then was not theirs."""
        for alias in self._deadlines:
            self._deadlines[alias] += seconds
