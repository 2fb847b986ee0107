"""Is a node up, slow, lagging or down, by what is remembered of its readings, and who may serve of a pool?

No I/O and no clock: the monitor gives both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

from django_gmf_router.postgres.dialects import REPLAYED, WRITTEN, Dialect
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.settings.values import ReplicaConfig, Role

FAILURES_TO_GO_DOWN = 2
READINGS_TO_COME_BACK = 2
DIVERGED = "It has diverged: its position is beyond the primary's."


class State:
    """The states of a node."""

    UP: Final = "up"
    SLOW: Final = "slow"
    LAGGING: Final = "lagging"
    DOWN: Final = "down"


ORDER = (State.UP, State.SLOW, State.LAGGING, State.DOWN)
"""The best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The same moment in seconds of two clocks: one that never jumps, and the one people read."""

    monotonic: float
    wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHealth:
    """What is known of a node."""

    alias: str
    role: Role
    """The configured one."""
    since: float
    """When its state changed last, in wall-clock seconds."""
    balanced: bool = False
    """Whether several servers stand behind it, which nobody can tell apart."""
    state: str = State.UP
    generation: int = 0
    """Raised whenever the node comes back, restarts or changes its role: what was connected before is stale."""
    position: int | None = None
    """As its last reading said; None while it does not answer."""
    lag: float | None = None
    """Seconds that a replica is behind; None: unknown."""
    latency: float | None = None
    """Seconds that a statement of this process typically takes there; None: unknown."""
    error: str | None = None
    """Why it is down, or what the last probe said."""
    timeline: int | None = None
    follows: int | None = None
    """The timeline of the primary whose writes a replica is known to replay."""
    proven: int | None = None
    """Up to which position that is known, where the primary is away; None: as far as it has come."""
    system_identifier: str | None = None
    database: str | None = None
    """As the server calls it."""
    migrations: str | None = None
    """What its table of migrations holds: the same on a replica as on its primary, once it has replayed them."""
    dialect: Dialect | None = None
    """None: it has not answered yet, or is no PostgreSQL."""
    started: float | None = None
    sampled_at: float | None = None
    """When its last reading came that was an answer, in monotonic seconds."""

    @property
    def is_down(self) -> bool:
        """Whether it does not answer, or not in its role."""
        return self.state == State.DOWN

    @property
    def tells_position(self) -> bool:
        """Whether it can be asked for the position that a token needs; taken for granted until it has answered."""
        needed = WRITTEN if self.role == Role.PRIMARY else REPLAYED
        return self.dialect is None or needed <= self.dialect.facts.keys()


def stranger(node: NodeHealth | Reading, primary: NodeHealth | Reading) -> str | None:
    """Return why what `node` holds is not what `primary` wrote; None where nothing is known that says so."""
    if _differ(node.system_identifier, primary.system_identifier):
        found, wanted = node.system_identifier, primary.system_identifier
        return f"It belongs to another cluster than its primary: system identifier {found}, not {wanted}."
    if _differ(node.database, primary.database):
        return f"It serves the database {node.database!r}, its primary {primary.database!r}."
    return None


def _differ(one: str | None, other: str | None) -> bool:
    return None not in {one, other} and one != other


def summary(before: NodeHealth, members: Sequence[NodeHealth], *, generation: int) -> NodeHealth:
    """Return what is known of an alias that is several servers: it is as good as the best of them."""
    best = min(members, key=lambda health: ORDER.index(health.state), default=before)
    return replace(
        before,
        state=best.state,
        since=before.since if best.state == before.state else best.since,
        generation=generation,
        lag=best.lag,
        latency=best.latency,
        error=best.error,
        dialect=best.dialect,
        sampled_at=best.sampled_at,
    )


class Tracker:
    """What is remembered of the readings of one node; one that was never probed counts as up."""

    def __init__(self, health: NodeHealth, *, max_lag_seconds: float) -> None:
        """Begin with what is known."""
        self.health = health
        self._max_lag = max_lag_seconds
        self._good = 0
        self._bad = 0
        self._diverged = False
        self._is_slow = False
        self._seen: Reading | None = None

    def observe(
        self, reading: Reading, lag: float | None, now: Moment, *, diverged: bool = False, strange: str | None = None
    ) -> NodeHealth:
        """Take a reading.

        `diverged`: an earlier one lies beyond the primary's position of later; `strange`: why it is no replica of it.
        """
        before = self.health
        restarted = self._restarted(reading)
        went_back = self._went_back(reading)
        if reading.up:
            # For as long as it was neither made anew nor rewound, which its start or its position tells.
            self._diverged = (diverged or self._diverged) and not (restarted or went_back)
        error, at_once = (strange, True) if strange else self._fault(reading)
        self._good, self._bad = (self._good + 1, 0) if error is None else (0, self._bad + 1)
        state = self._next(lag) if error is None else self._failed(at_once)
        is_down = state == State.DOWN
        came_back = before.is_down and not is_down
        self.health = replace(
            before,
            state=state,
            since=before.since if state == before.state else now.wall,
            generation=before.generation + (restarted or came_back),
            # While it waits for its second good reading, it still says why.
            error=error or (before.error if is_down else None),
            # One answer that is missing says nothing yet: what was known holds until the node is down.
            lag=None if is_down else lag if reading.up else before.lag,
            position=reading.position if reading.up else None if is_down else before.position,
            timeline=reading.timeline or before.timeline,
            system_identifier=reading.system_identifier or before.system_identifier,
            database=reading.database or before.database,
            migrations=reading.migrations or before.migrations,
            dialect=reading.dialect or before.dialect,
            started=reading.started or before.started,
            sampled_at=now.monotonic if reading.up else before.sampled_at,
        )
        if reading.up:
            self._seen = reading
        return self.health

    def follow(self, timeline: int | None, proven: int | None) -> NodeHealth:
        """Take it that the node is known to replay what the primary writes on `timeline`; None: that is not known.

        proven: up to which position, where the primary is away.
        """
        if (timeline, proven) != (self.health.follows, self.health.proven):
            self.health = replace(self.health, follows=timeline, proven=proven)
        return self.health

    def compare(self, latency: float | None, now: Moment, *, is_slow: bool) -> NodeHealth:
        """Take what the node's statements typically take, and whether it is slow beside its pool."""
        before, self._is_slow = self.health, is_slow
        # What lags or is down says that first.
        state = self._up if before.state in {State.UP, State.SLOW} else before.state
        since = before.since if state == before.state else now.wall
        if (state, latency) != (before.state, before.latency):
            self.health = replace(before, state=state, since=since, latency=latency)
        return self.health

    def fail(self, reason: str, now: Moment) -> NodeHealth:
        """Take it that the node refused, answered not in time, or is a stranger: it is down at once."""
        self._good = 0
        since = self.health.since if self.health.is_down else now.wall
        self.health = replace(self.health, state=State.DOWN, since=since, error=reason, lag=None, position=None)
        return self.health

    def _restarted(self, reading: Reading) -> bool:
        """Return whether what was connected before is stale: another server, or one in another role."""
        seen = self._seen
        if seen is None or not reading.up:
            return False
        return (seen.started, seen.role) != (reading.started, reading.role)

    def _went_back(self, reading: Reading) -> bool:
        if self._seen is None or self._seen.position is None or reading.position is None:
            return False
        return reading.position < self._seen.position

    def _fault(self, reading: Reading) -> tuple[str | None, bool]:
        """Return what is wrong, and whether once is enough."""
        if not reading.up:
            refused = reading.refused and not self.health.balanced
            return reading.error or "It did not answer.", reading.timed_out or refused
        if self.health.balanced:
            # One server was elected to be the primary, or is beyond it: the others are not to blame.
            return None, False
        if reading.role not in {None, self.health.role}:
            return f"The server says that it is a {reading.role}.", True
        if self._diverged and self.health.role != Role.PRIMARY:
            return DIVERGED, True
        return None, False

    def _failed(self, at_once: bool) -> str:
        return State.DOWN if at_once or self._bad >= FAILURES_TO_GO_DOWN else self.health.state

    def _next(self, lag: float | None) -> str:
        state = self.health.state
        # A server that restarts again and again answers once in between.
        if state == State.DOWN and self._good < READINGS_TO_COME_BACK:
            return State.DOWN
        if not lag:
            return self._up
        # Back at half of the limit: one that hovers about it would come and go with each reading.
        lagging = lag >= self._max_lag / 2 if state == State.LAGGING else lag > self._max_lag
        return State.LAGGING if lagging else self._up

    @property
    def _up(self) -> str:
        return State.SLOW if self._is_slow else State.UP


# Who may serve

Candidate: TypeAlias = tuple[str, float]
"""An alias, and its weight."""
Candidates: TypeAlias = Sequence[Candidate]
"""Equals to pick from."""


class Tier(NamedTuple):
    """Who serves of the replicas of one tier, and which slow ones beside them are only tried."""

    candidates: Candidates
    slow: Sequence[str] = ()


Tiers: TypeAlias = tuple[Tier, ...]
"""The first one serves."""


def serving(
    tiers: Sequence[Sequence[ReplicaConfig]], snapshot: Mapping[str, NodeHealth], drained: Collection[str] = ()
) -> Tiers:
    """Return who may serve of each tier, slow ones if there is no other there, without the tiers of which none may.

    An old page or a slow one is better than the primary's only where nobody else is left: what lags never serves, nor
    what is `drained`.
    """
    left = ([replica for replica in replicas if replica.alias not in drained] for replicas in tiers)
    return tuple(tier for replicas in left if (tier := _tier(replicas, snapshot)).candidates)


def _tier(replicas: Sequence[ReplicaConfig], snapshot: Mapping[str, NodeHealth]) -> Tier:
    up, slow = (
        tuple((replica.alias, replica.weight) for replica in replicas if snapshot[replica.alias].state == state)
        for state in (State.UP, State.SLOW)
    )
    return Tier(up, [alias for alias, _ in slow]) if up else Tier(slow)
