"""What do the readings of a cluster's nodes say together?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django_gmf_router.replicas.following import Following
from django_gmf_router.replicas.health import Moment, NodeHealth, Tracker
from django_gmf_router.replicas.lag import PrimaryTrail, has_diverged
from django_gmf_router.replicas.probes import Reading
from django_gmf_router.settings.values import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reading, and between which monotonic seconds it was taken."""

    alias: str
    reading: Reading
    started_at: float
    finished_at: float


class Observer:
    """The trackers of one cluster's nodes, and where its primary was; its user sees to it that one thread is in it."""

    def __init__(self, known: Mapping[str, NodeHealth], *, max_lag_seconds: float, settle_seconds: float) -> None:
        """Begin with what is known of the nodes."""
        self._max_lag = max_lag_seconds
        self._trackers: dict[str, Tracker] = {}
        self.watch(known)
        self._trail = PrimaryTrail(settle_seconds=settle_seconds)
        self._following = Following()
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
        diverged = self._has_diverged(answer)
        if reading.up:
            self._earlier[answer.alias] = answer
        health = tracker.observe(reading, lag, now, diverged=diverged)
        return tracker.follow(self._following.replica(health))

    def fail(self, alias: str, reason: str, now: Moment) -> NodeHealth:
        """Take it that a node refused a connection, or answered not in time."""
        health = self._trackers[alias].fail(reason, now)
        self._note_primary_away(health)
        return health

    def _observe_primary(self, tracker: Tracker, answer: Answer, now: Moment) -> NodeHealth:
        health = tracker.observe(answer.reading, None, now)
        if answer.reading.role == Role.PRIMARY:
            self._primary = answer
            self._following.primary(answer.reading)
            for replica in self._trackers.values():
                if replica.health.role == Role.REPLICA:
                    replica.follow(self._following.replica(replica.health))
            self._trail.sample(answer.reading, answer.finished_at)
        self._note_primary_away(health)
        return health

    def _note_primary_away(self, health: NodeHealth) -> None:
        if health.role == Role.PRIMARY and health.is_down:
            self._trail.lose()

    def _has_diverged(self, answer: Answer) -> bool:
        """Compare the replica's reading before this one with what the primary said after it."""
        earlier, primary = self._earlier.get(answer.alias), self._primary
        if earlier is None or primary is None or primary.started_at < earlier.finished_at:
            return False
        if earlier.reading.role != Role.REPLICA or answer.reading.role != Role.REPLICA:
            return False
        return has_diverged(earlier.reading, primary.reading)
