"""What is routing scoped to, which blocks are open in it, and what does it remember meanwhile?"""

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from django_gmf_router.routing.db_chooser import Verdict
from django_gmf_router.settings.values import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

    from django_gmf_router.consistency.stores import Store
    from django_gmf_router.consistency.tokens import Token
    from django_gmf_router.exceptions import PrimaryUnavailable
    from django_gmf_router.replicas.pool import Wanted

    Pick = Callable[[], tuple[str | None, str]]


class Decision(NamedTuple):
    """What was decided for a read, and why."""

    role: Role
    alias: str
    """The alias that serves it."""
    reason: str
    """The rule of the policy that held."""

    def __str__(self) -> str:
        """Print it as the debug header does."""
        return f"{self.alias}; reason={self.reason}"


@lru_cache(maxsize=1024)
def decision_of(role: Role, alias: str, reason: str) -> Decision:
    """Return a decision. They are few and always the same: making one costs more than all the rest of a read."""
    return Decision(role=role, alias=alias, reason=reason)


class ReadsOfUnit:
    """What one unit of work read in one cluster, as far as only its end can tell what that means."""

    __slots__ = ("early", "latest", "remedy", "unexpected")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.early: list[str] = []
        """Of what was read before the view was known why it was read from the primary; empty of a replica."""
        self.unexpected: dict[str, int] = {}
        """By reason the reads of the primary that the rules would have sent to replicas; only where that is told."""
        self.remedy = ""
        """What sends all of them there."""
        self.latest = ""
        """Why the last of them was read from the primary; empty of a replica."""


class ClusterRecord:
    """What one unit of work remembers of one cluster."""

    __slots__ = (
        "_lock", "alias", "decision", "is_open", "own_transaction", "seen", "settled_for", "snapshot", "spills",
        "verdict", "wanted", "wrote",
    )  # fmt: skip

    def __init__(self, verdict: Verdict, *, is_open: bool = False) -> None:
        """Start with what the rules over the request say; `is_open`: CHOOSER is still to be asked."""
        self.verdict = verdict
        self.is_open = is_open
        # By how many statements.
        self.wrote = 0
        # Threads of one request may read for the first time, and write, at the same time.
        self._lock = Lock()
        # The decision of the first read that a replica may serve, and the alias whose connection serves it.
        self.decision: Decision | None = None
        self.alias = ""
        # What the client must be able to read, once that was asked for.
        self.wanted: Wanted | None = None
        # What was known of the nodes when that was decided or looked at again.
        self.snapshot: object = None
        # The policy, while neither the rules nor a write send reads elsewhere: all that the hot path asks.
        self.settled_for: object = None
        # The block of `atomic` that ATOMIC_REQUESTS opened around the view, once it was seen.
        self.own_transaction: object = None
        # Whether it reads from the primary since no replica serves, as one of those that SPILL allows.
        self.spills = False
        # What is kept until the end of what it read, once it has.
        self.seen: ReadsOfUnit | None = None

    def settle(self, policy: object, decision: Decision, alias: str, *, instead_of: Decision | None) -> None:
        """Keep what serves the reads of this unit of work from now on: a decision, and the alias of the connection.

        Where another thread has decided meanwhile, so that it is not `instead_of` any more, its choice stays.
        """
        with self._lock:
            if self.decision is instead_of:
                # Who sees the decision takes the alias too, without the lock.
                self.alias = alias
                self.decision = decision
            if self.verdict.role == Role.REPLICA and not self.wrote and not self.is_open:
                self.settled_for = policy

    def choose(self, verdict: Verdict) -> None:
        """Take what CHOOSER has made of the verdict: reads that it made itself, of the user, went by the method."""
        with self._lock:
            self.verdict = verdict
            self.settled_for = None

    def write(self) -> None:
        """Note that this unit of work wrote: its reads follow to the primary."""
        with self._lock:
            self.wrote += 1
            self.settled_for = None

    def take_back(self) -> None:
        """Take it that a write which was noted came to no primary: nothing has to follow it there."""
        with self._lock:
            self.wrote -= 1


NO_RECORD = ClusterRecord(Verdict(role=Role.PRIMARY, reason="outside_request"))


class UnitOfWork:
    """A request while it is served, or what stands for one outside requests.

    One mutable object, set once: a ContextVar that is rebound inside `gather` or `to_thread` stays invisible to the
    request, an attribute of a shared object does not.
    """

    __slots__ = (
        "at_end", "closed", "decision", "failure", "latest", "method", "moves", "outer", "path", "reads_after_write",
        "records", "request", "streams", "tokens", "view_is_over", "was_asked", "was_refused",
    )  # fmt: skip
    blocks: tuple[OpenBlock, ...] = ()
    was_asked: bool
    """Whether the router has decided since it was last looked at; each decision sets it."""
    was_refused: bool
    """Set once it was answered 503."""

    # A request has none, and pays for none: to open it is on the hot path.
    name: str | None = None
    """Of one that `unit_of_work()` opens, which reads from replicas."""
    given: str | None = None
    """The text of the token that it was given, also for what it sends."""

    def __init__(self, request: HttpRequest | None = None, outer: UnitOfWork | None = None) -> None:
        """Open for `request`, which may be made within `outer`; None is a unit of work outside requests."""
        self.request = request
        self.outer = outer
        self.method = request.method if request is not None else None
        self.path = request.path if request is not None else None
        self.closed = False
        # Whether the transaction that ATOMIC_REQUESTS opened around the view has ended.
        self.view_is_over = False
        # Whether its body is made step by step, which may take hours.
        self.streams = False
        self.decision: Decision | None = None
        self.records: dict[str, ClusterRecord] = {}  # by the alias of the primary
        # How often reads moved to another node, and the failure that made the response a 503.
        self.moves = 0
        self.failure: PrimaryUnavailable | None = None
        # How many reads went to the primary since it had written, and what is told of it at the end.
        self.reads_after_write = 0
        self.at_end: list[Callable[[], None]] = []
        # What the client brought, by where it is kept; filled when a replica is picked.
        self.tokens: dict[Store, Token | None] | None = None
        # The record whose replica served the last read; NO_RECORD after any other decision, and once closed.
        self.latest = NO_RECORD

    @property
    def wrote(self) -> bool:
        """Whether it has written to a primary."""
        return any(record.wrote for record in self.records.values())

    def has_written(self, cluster: str) -> bool:
        """Return whether it has written to the primary of `cluster`."""
        return self.records.get(cluster, NO_RECORD).wrote > 0

    @property
    def unit(self) -> UnitOfWork:
        """Itself: a unit of work is the place where no block is open."""
        return self

    def pick(self, _wanted: Wanted | None, pick: Pick) -> tuple[str | None, str]:
        """Return the replica that `pick` answers for what is wanted, or why there is none; a job has patience."""
        return pick()

    def close(self) -> None:
        """End it: whoever still holds it (a task, a thread) is routed as if there were none."""
        self.closed = True
        self.request = self.outer = None
        self.latest = NO_RECORD
        while self.at_end:
            self.at_end.pop()()


class OpenBlock:
    """One entering of a block: what it says of the reads inside."""

    __slots__ = ("ended", "eventual", "of", "picks", "pool", "role", "token", "unit", "unmet")

    def __init__(
        self,
        of: object,
        *,
        role: Role | None,
        eventual: bool,
        pool: str | None,
        token: Token | None,
        unmet: bool,
        unit: UnitOfWork | None,
    ) -> None:
        """Enter the block `of`; the others are its own arguments."""
        self.of = of
        self.role = role
        self.eventual = eventual
        self.pool = pool
        self.token = token
        self.unmet = unmet
        # Where no other unit of work is open, one of its own, so that its reads share one replica.
        self.unit = unit
        # By policy the replica of this block, where it demands other data than the rest of the unit of work.
        self.picks: dict[object, tuple[Decision, str]] = {}
        # Set where a generator is closed in another context than that in which it opened the block.
        self.ended = False


Blocks: TypeAlias = tuple[OpenBlock, ...]


class InBlocks:
    """A place inside use_primary() and use_replica() blocks, in a unit of work or outside; or in nothing at all."""

    __slots__ = ("_blocks", "unit")
    latest = NO_RECORD

    def __init__(self, unit: UnitOfWork | None, blocks: Blocks) -> None:
        """Stand in `unit` inside `blocks`, the innermost last."""
        self.unit = unit
        self._blocks = blocks

    @property
    def blocks(self) -> Blocks:
        """The blocks that are open here, the innermost last."""
        return tuple(block for block in self._blocks if not block.ended) if self._blocks else ()


Place: TypeAlias = "UnitOfWork | InBlocks"
NOWHERE = InBlocks(None, ())

# One variable, which asyncio's tasks and threads each have their own value of. The blocks are immutable: a shared stack
# would leak between the tasks of a `gather`.
current_place: ContextVar[Place] = ContextVar("gmf_place", default=NOWHERE)


def place(unit: UnitOfWork | None, blocks: Blocks) -> Place:
    """Return the place in `unit` and inside `blocks`."""
    return InBlocks(unit, blocks) if blocks else unit or NOWHERE


def open_unit() -> UnitOfWork | None:
    """Return the unit of work of this context, unless it is closed."""
    unit = current_place.get().unit
    return None if unit is None or unit.closed else unit


def current_request() -> str:
    """Return `METHOD /path` of the request that is served here, in one line; an empty str outside requests."""
    unit = open_unit()
    return "" if unit is None or unit.method is None else " ".join(f"{unit.method} {unit.path}".split())


def innermost_role(blocks: Blocks) -> Role | None:
    """Return the role that the innermost block with one gives."""
    return next((block.role for block in reversed(blocks) if block.role is not None), None)


def is_eventual(blocks: Blocks) -> bool:
    """Return whether the innermost block with a role says that any replica will do."""
    return next((block.eventual for block in reversed(blocks) if block.role is not None), False)


def pool_of(blocks: Blocks) -> str | None:
    """Return the pool that the innermost block with one names."""
    return next((block.pool for block in reversed(blocks) if block.pool is not None), None)


def current_decision() -> Decision | None:
    """Return the decision of the last read of this unit of work; None before the first read and outside of any."""
    unit = open_unit()
    if unit is None and (blocks := current_place.get().blocks):
        unit = blocks[-1].unit
    return None if unit is None else unit.decision
