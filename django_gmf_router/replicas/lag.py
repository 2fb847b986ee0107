"""How long has a replica been behind its primary?

Measured by when the primary was seen where the replica is not yet: the servers' clocks take no part, and nothing grows
while nobody writes, as the age of the last replayed transaction does.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from django_gmf_router.postgres.positions import BLOCK_BYTES
from django_gmf_router.replicas.readings import Reading

MOST_SAMPLES = 512
FINENESS = 16  # two samples are at most an eighth of their age apart
LONG_PAUSE = 6.0  # times the time to settle, half an interval, between two looks at the primary
LONGEST_RECORD_BYTES = 32 * BLOCK_BYTES


class Sample(NamedTuple):
    """The primary was seen to have come to `position` at `at`, in monotonic seconds."""

    position: int
    at: float
    looked_before: float
    """When the primary was looked at before, and had not come there."""


class PrimaryTrail:
    """Where the primary was seen, and when."""

    def __init__(self, *, settle_seconds: float) -> None:
        """Take how long a replica that keeps up may need for the first position that was seen."""
        self._settle = settle_seconds
        self._samples: list[Sample] = []
        self._latest: Reading | None = None
        self._looked_at: float | None = None
        self._known = False

    def sample(self, primary: Reading, at: float) -> None:
        """Take a reading of the primary that came at `at`."""
        position = reachable(primary)
        if position is None:
            return
        if self._latest is not None and is_another(self._latest, primary):
            self._samples.clear()
        self._latest = primary
        self._known = True
        if not self._samples or position > self._samples[-1].position:
            self._samples.append(Sample(position, at, at if self._looked_at is None else self._looked_at))
        self._looked_at = at
        if len(self._samples) > MOST_SAMPLES:
            self._thin_out()

    def lose(self) -> None:
        """Take it that the primary is away: until its next sample every lag is unknown."""
        self._known = False
        self._looked_at = None

    def lag(self, replica: Reading, at: float) -> float | None:
        """Return the lag in seconds of a reading that was begun at `at`; None where nobody knows."""
        if not self._known or replica.position is None:
            return None
        index = bisect_right(self._samples, replica.position, key=_position)
        if index == len(self._samples):
            return 0.0
        sample = self._samples[index]
        seconds = max(0.0, at - sample.at)
        # Behind everything that was ever seen here: since when, only the server can say. Not at first sight, since its
        # answer counts the time in which nobody wrote.
        if index == 0 and seconds > self._settle and replica.replay_age is not None:
            return max(seconds, replica.replay_age)
        # This process stood still before it saw the primary there. It may have been there for as long.
        if sample.at - sample.looked_before > self._settle * LONG_PAUSE and replica.replay_age is not None:
            return min(max(seconds, replica.replay_age), at - sample.looked_before)
        return seconds

    def _thin_out(self) -> None:
        """Keep of the old samples so many that a lag is told too short by an eighth at most."""
        now = self._samples[-1].at
        kept = self._samples[:1]
        for sample in self._samples[1:]:
            if sample.at - kept[-1].at >= (now - sample.at) / FINENESS:
                kept.append(sample)
        self._samples = kept


def reachable(primary: Reading) -> int | None:
    """Return the position that replicas can come to: what is flushed, since nothing else is sent.

    Where a transaction waits, a flush that ends with a block may end within a record, which cannot be replayed.
    """
    if primary.position is None or primary.flushed is None:
        return primary.position
    if primary.flushed < primary.position and primary.flushed % BLOCK_BYTES == 0:
        return primary.flushed - LONGEST_RECORD_BYTES
    return min(primary.flushed, primary.position)


def is_another(before: Reading, after: Reading) -> bool:
    """Return whether a primary's readings are not of one history: it went back, or another server took its place."""
    went_back = before.position is not None and after.position is not None and after.position < before.position
    return went_back or (before.timeline, before.system_identifier) != (after.timeline, after.system_identifier)


def has_diverged(replica: Reading | None, primary: Reading) -> bool:
    """Return whether a replica was beyond where the primary is later; both must have answered in their roles."""
    if replica is None or replica.position is None or primary.position is None:
        return False
    return replica.position > primary.position


def _position(sample: Sample) -> int:
    return sample.position
