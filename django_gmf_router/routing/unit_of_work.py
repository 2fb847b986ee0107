"""What is routing scoped to, and what does it remember meanwhile?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

from django_gmf_router.decision import Decision
from django_gmf_router.routing.db_chooser import WRITE_METHOD, Verdict
from django_gmf_router.settings.values import Role

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_gmf_router.routing.blocks import OpenBlock


class ClusterRecord:
    """What one unit of work remembers of one cluster."""

    __slots__ = ("_lock", "answer", "decision", "own_transaction", "policy", "settled_for", "verdict", "wrote")

    def __init__(self, policy: object, verdict: Verdict) -> None:
        """Start for the cluster of `policy` with what the rules say that are fixed when the unit opens."""
        self.policy = policy
        self.verdict = verdict
        self.wrote = False
        # Threads of one request may read for the first time, and write, at the same time.
        self._lock = Lock()
        # The decision on the replica that was picked at the first read, and the alias whose connection serves it.
        self.decision: Decision | None = None
        self.answer = ""
        # The policy, while neither the rules nor a write send reads elsewhere: all that the hot path asks.
        self.settled_for: object = None
        self.own_transaction: object = None

    def pick(self, decision: Decision, answer: str) -> None:
        """Keep the replica of this unit of work: its decision, and the alias whose connection serves its reads.

        Where another thread has picked meanwhile, its replica stays.
        """
        with self._lock:
            if self.decision is None:
                # Who sees the decision takes the answer too, without the lock.
                self.answer = answer
                self.decision = decision
            if self.verdict.role == Role.REPLICA and not self.wrote:
                self.settled_for = self.policy

    def write(self) -> None:
        """Note that this unit of work wrote: its reads follow to the primary."""
        with self._lock:
            self.wrote = True
            self.settled_for = None


NO_RECORD = ClusterRecord(None, WRITE_METHOD)


class UnitOfWork:
    """A request while it is served, or what stands for one outside requests.

    One mutable object, set once: a ContextVar that is rebound inside `gather` or `to_thread` stays invisible to the
    request, an attribute of a shared object does not.
    """

    __slots__ = ("closed", "decision", "failure", "latest", "method", "moves", "path", "records", "request", "tokens")
    blocks: tuple[OpenBlock, ...] = ()

    def __init__(self, request: HttpRequest | None = None) -> None:
        """Open for `request`; None is a unit of work outside requests."""
        self.request = request
        self.method = request.method if request is not None else None
        self.path = request.path if request is not None else None
        self.closed = False
        self.decision: Decision | None = None
        self.records: dict[str, ClusterRecord] = {}
        # How often reads moved to another node, and the failure that made the response a 503.
        self.moves = 0
        # What the client brought, by where it is kept; filled when a replica is picked.
        self.tokens: dict[Any, Any] | None = None
        self.failure: BaseException | None = None
        # The record whose replica served the last read; NO_RECORD after any other decision, and once closed.
        self.latest = NO_RECORD

    @property
    def wrote(self) -> bool:
        """Whether it has written to a primary."""
        return any(record.wrote for record in self.records.values())

    def has_written(self, cluster: str) -> bool:
        """Return whether it has written to the primary of `cluster`."""
        record = self.records.get(cluster)
        return record is not None and record.wrote

    @property
    def unit(self) -> UnitOfWork:
        """Return itself: a unit of work is the place where no block is open."""
        return self

    def close(self) -> None:
        """End it: whoever still holds it (a task, a thread) is routed as if there were none."""
        self.closed = True
        self.request = None
        self.latest = NO_RECORD


class InBlocks:
    """A place inside use_primary() and use_replica() blocks, in a unit of work or outside; or in nothing at all."""

    __slots__ = ("blocks", "unit")
    latest = NO_RECORD

    def __init__(self, unit: UnitOfWork | None, blocks: tuple[OpenBlock, ...]) -> None:
        """Stand in `unit` inside `blocks`, the innermost last."""
        self.unit = unit
        self.blocks = blocks


Place: TypeAlias = "UnitOfWork | InBlocks"
NOWHERE = InBlocks(None, ())

# One variable, which asyncio's tasks and threads each have their own value of. The blocks are immutable: a shared stack
# would leak between the tasks of a `gather`.
current_place: ContextVar[Place] = ContextVar("gmf_place", default=NOWHERE)


def place(unit: UnitOfWork | None, blocks: tuple[OpenBlock, ...]) -> Place:
    """Return the place in `unit` and inside `blocks`."""
    return InBlocks(unit, blocks) if blocks else unit or NOWHERE


def open_unit() -> UnitOfWork | None:
    """Return the unit of work of this context, unless it is closed."""
    unit = current_place.get().unit
    return None if unit is None or unit.closed else unit


@contextmanager
def entered(unit: UnitOfWork) -> Iterator[None]:
    """Run a block inside `unit`."""
    token = current_place.set(place(unit, current_place.get().blocks))
    try:
        yield
    finally:
        current_place.reset(token)
