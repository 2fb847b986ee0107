"""What do the readings of a cluster's nodes say together: who follows whom, and how long has a replica been behind?

The lag is measured by when the primary was seen where the replica is not yet: the servers' clocks take no part, and
nothing grows while nobody writes, as the age of the last replayed transaction does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from django_gmf_router.postgres.dialects import FLUSHED
from django_gmf_router.postgres.positions import BLOCK_BYTES
from django_gmf_router.replicas.health import Moment, NodeHealth, Tracker, stranger
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.settings.values import Role

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reading, and between which monotonic seconds it was taken."""

    alias: str
    reading: Reading
    started_at: float
    finished_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How far a replica has come since it was first seen, under one generation."""

    generation: int
    first: int
    """Its position then."""
    goal: int | None = None
    """The first position of the primary that lay beyond it."""
    follows: bool = False
    """Whether it has come there."""
    proven: int | None = None
    """Where it stood at its first answer since the primary is away: what it replays later may be another's."""


class Lineage:
    """Which replicas replay what the primary of now writes?"""

    # A promotion may leave a replica behind. It keeps its position, and the new primary soon passes that. By the number
    # alone the replica then has what was written there since. Its timeline would tell, but not every role may see it.
    # So a replica counts once it was seen to reach a later position of this primary, or to stand exactly where it does.

    # While the primary is away another may be promoted, and a replica follow that without a restart: the same numbers
    # then mean other data. So of each replica one more answer counts, which has what the primary wrote last.

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._primary: Reading | None = None
        self._is_away = False
        self._ways: dict[str, Way] = {}

    def primary(self, reading: Reading) -> None:
        """Take a reading of the primary."""
        if self._primary is not None and is_another(self._primary, reading):
            self._ways.clear()
        self._primary, self._is_away = reading, False

    def lose(self) -> None:
        """Take it that the primary is away."""
        self._is_away = True

    def replica(self, health: NodeHealth) -> tuple[int | None, int | None]:
        """Take what is known of a replica now; return the timeline that it is known to follow, and up to where."""
        goal = None if self._primary is None else reachable(self._primary)
        if health.position is None or goal is None or self._primary is None:
            return None, None
        way = self._ways.get(health.alias)
        if way is None or way.generation != health.generation:
            if self._is_away:
                return None, None
            way = Way(generation=health.generation, first=health.position)
        if not self._is_away or way.proven is None:
            way = self._gone_on(way, health.position, goal)
        self._ways[health.alias] = way
        return (self._primary.timeline, way.proven) if way.follows else (None, None)

    def _gone_on(self, way: Way, position: int, goal: int) -> Way:
        if way.goal is None and goal > way.first:
            way = replace(way, goal=goal)
        if way.follows and not self._is_away and way.proven is None:
            return way
        follows = way.follows or position == goal or (way.goal is not None and position >= way.goal)
        return replace(way, follows=follows, proven=position if self._is_away else None)


class Observer:
    """The trackers of one cluster's nodes, and where its primary was; its user sees to it that one thread is in it."""

    def __init__(self, known: Mapping[str, NodeHealth], *, max_lag_seconds: float, settle_seconds: float) -> None:
        """Begin with what is known of the nodes."""
        self._max_lag = max_lag_seconds
        self._trackers: dict[str, Tracker] = {}
        self.watch(known)
        self._trail = PrimaryTrail(settle_seconds=settle_seconds)
        self._lineage = Lineage()
        self._primary: Answer | None = None
        self._earlier: dict[str, Answer] = {}

    def watch(self, known: Mapping[str, NodeHealth]) -> None:
        """Track these nodes from now on, and no others; what is known already of one stays."""
        self._trackers = {alias: self._tracker(alias, health) for alias, health in known.items()}

    def _tracker(self, alias: str, health: NodeHealth) -> Tracker:
        tracker = self._trackers.get(alias)
        if tracker is None or tracker.health.balanced != health.balanced:
            return Tracker(health, max_lag_seconds=self._max_lag)
        return tracker

    def health(self, alias: str) -> NodeHealth:
        """Return what is known of a node."""
        return self._trackers[alias].health

    def observe(self, answer: Answer, wall: float) -> NodeHealth:
        """Take what a node answered."""
        tracker = self._trackers[answer.alias]
        now = Moment(monotonic=answer.finished_at, wall=wall)
        if tracker.health.role == Role.PRIMARY:
            return self._observe_primary(tracker, answer, now)
        reading = answer.reading
        lag = self._trail.lag(reading, answer.started_at) if reading.role == Role.REPLICA else None
        lag = lag if reading.lag is None else reading.lag
        diverged = self._has_diverged(answer)
        if reading.up:
            self._earlier[answer.alias] = answer
        strange = None if self._primary is None else stranger(reading, self._primary.reading)
        health = tracker.observe(reading, lag, now, diverged=diverged, strange=strange)
        return tracker.follow(*self._lineage.replica(health))

    def fail(self, alias: str, reason: str, now: Moment) -> NodeHealth:
        """Take it that a node refused a connection, or answered not in time."""
        health = self._trackers[alias].fail(reason, now)
        self._note_primary_away(health)
        return health

    def compare(self, alias: str, latency: float | None, now: Moment, *, is_slow: bool) -> NodeHealth:
        """Take what a node's statements typically take, and whether it is slow beside its pool."""
        return self._trackers[alias].compare(latency, now, is_slow=is_slow)

    def _observe_primary(self, tracker: Tracker, answer: Answer, now: Moment) -> NodeHealth:
        health = tracker.observe(answer.reading, None, now)
        # One that does not tell its role has the configured one.
        if answer.reading.up and answer.reading.role != Role.REPLICA:
            self._primary = answer
            self._lineage.primary(answer.reading)
            for replica in self._trackers.values():
                if replica.health.role == Role.REPLICA:
                    replica.follow(*self._lineage.replica(replica.health))
                    # At once: it may have answered before its primary did, and nobody must read there.
                    if strange := stranger(replica.health, answer.reading):
                        replica.fail(strange, now)
            if answer.reading.dialect is not None and FLUSHED in answer.reading.dialect.refused:
                self._trail.lose()
            else:
                self._trail.sample(answer.reading, answer.finished_at)
        self._note_primary_away(health)
        return health

    def _note_primary_away(self, health: NodeHealth) -> None:
        if health.role == Role.PRIMARY and health.is_down:
            self._trail.lose()
            self._lineage.lose()

    def _has_diverged(self, answer: Answer) -> bool:
        """Compare the replica's reading before this one with what the primary said after it."""
        earlier, primary = self._earlier.get(answer.alias), self._primary
        if earlier is None or primary is None or primary.started_at < earlier.finished_at:
            return False
        if earlier.reading.role != Role.REPLICA or answer.reading.role != Role.REPLICA:
            return False
        return has_diverged(earlier.reading, primary.reading)
