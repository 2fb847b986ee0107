"""What is routing scoped to, and what does it remember meanwhile?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from django_gmf_router.routing.decision import REPLICA, Decision

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_gmf_router.routing.db_chooser import Verdict


class ClusterRecord:
    """What one unit of work remembers of one cluster."""

    __slots__ = ("answer", "decision", "own_transaction", "settled", "verdict", "wrote")

    def __init__(self, verdict: Verdict) -> None:
        """Start with the verdict of the rules that are fixed when the unit of work opens."""
        self.verdict = verdict
        self.wrote = False
        # The decision on the replica that was picked at the first read, and the alias whose connection serves it;
        # settled while neither the rules nor a write send reads elsewhere.
        self.decision: Decision | None = None
        self.settled: Decision | None = None
        self.answer = ""
        self.own_transaction: object = None

    def pick(self, decision: Decision, answer: str) -> None:
        """Keep the replica of this unit of work: its decision, and the alias whose connection serves its reads."""
        self.decision = decision
        self.answer = answer
        self.settled = decision if self.verdict.role is REPLICA and not self.wrote else None

    def write(self) -> None:
        """Note that this unit of work wrote: its reads follow to the primary."""
        self.wrote = True
        self.settled = None


class UnitOfWork:
    """A request while it is served, or what stands for one outside requests.

    One mutable object, set once: a ContextVar that is rebound inside `gather` or `to_thread` stays invisible to the
    request, an attribute of a shared object does not.
    """

    __slots__ = ("closed", "decision", "method", "path", "records", "request")

    def __init__(self, request: HttpRequest | None = None) -> None:
        """Open for `request`; None is a unit of work outside requests."""
        self.request = request
        self.method = request.method if request is not None else None
        self.path = request.path if request is not None else None
        self.closed = False
        self.decision: Decision | None = None
        self.records: dict[str, ClusterRecord] = {}

    def close(self) -> None:
        """End it: whoever still holds it (a task, a thread) is routed as if there were none."""
        self.closed = True
        self.request = None
        self.records = {}


current_unit: ContextVar[UnitOfWork | None] = ContextVar("gmf_unit_of_work", default=None)


def open_unit() -> UnitOfWork | None:
    """Answer the unit of work of this context, unless it is closed."""
    unit = current_unit.get()
    return None if unit is None or unit.closed else unit


@contextmanager
def entered(unit: UnitOfWork) -> Iterator[None]:
    """Run a block inside `unit`."""
    token = current_unit.set(unit)
    try:
        yield
    finally:
        current_unit.reset(token)
