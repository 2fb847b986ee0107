"""Which view reads how much from which role, why from the primary, and which read may be executed again elsewhere?"""

from __future__ import annotations

import logging
from functools import partial
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.dispatch import Signal
from django.http import HttpRequest

from django_gmf_router.postgres.tallies import Tally
from django_gmf_router.routing import advice
from django_gmf_router.routing.policy import Policy
from django_gmf_router.routing.unit_of_work import (
    ClusterRecord,
    ReadsOfUnit,
    UnitOfWork,
    current_decision,
    current_place,
    innermost_role,
    open_unit,
)
from django_gmf_router.routing.writes import QUERIES, Statement, classify
from django_gmf_router.settings.values import ClusterConfig, Role

logger = logging.getLogger("django_gmf_router")

unit_ended = Signal()
"""Sent with `unit` when a request or job has ended that executed statements."""

OUTSIDE, JOB, UNMATCHED, OTHER = "outside_request", "unit_of_work", "unmatched", "other"
"""In place of a view: of no request, of a job, whose name may be a client's, of no route, of any beyond MOST_VIEWS."""
MOST_VIEWS = 1000
"""A site may make its routes anew while it runs, as a CMS does: what counts them must not grow for ever."""
UNROUTED = "unrouted"
REMEDIES = {
    "wrote": "The request has written before: write after the reads, or in a task.",
    "atomic": "A transaction is open: read before it, or inside use_replica().",
    "instance": "The object whose relations are read came from the primary: get it by a routed query.",
    UNROUTED: (
        "The router was not asked where to read: a cursor of the connection or using() names the primary, and "
        "select_for_update(), get_or_create() and delete() read there to write."
    ),
}
"""By the reasons that are a view's own what may be done about them. What the settings, a block, the client's token or
the state of the nodes send to the primary was meant to go there."""

MOVES = 2
"""Of a unit of work, and of a statement outside of any: from one replica to the next, and to the primary."""


class ViewRead(NamedTuple):
    """One kind of reads."""

    view: str
    """A route, or what stands in its place."""
    reason: str
    """Why the primary served; empty where a replica did."""


class ReadWatch:
    """What one cluster does about reads: count them by view, warn of those unexpected on the primary, let them move."""

    def __init__(self, config: ClusterConfig, policy: Policy) -> None:
        """Take the cluster's settings and its rules."""
        self._primary = config.primary
        self._policy = policy
        self._config = config
        self._warns = config.unexpected_primary_reads == "warn"
        self.views: Tally[ViewRead] = Tally()
        self._views: set[str] = set()
        self._warned: set[tuple[str | None, str | None]] = set()

    def note_on_primary(self, statement: Statement, node: str | None) -> None:
        """Count a statement that reads and is about to run by the primary's alias, whose connection is to `node`.

        node: None where the engine does not tell.
        """
        unit = open_unit()
        # While the primary is away a replica stands in.
        is_moved = node is not None and node != self._primary
        self._count(unit, "" if is_moved else self._reason(unit, statement))

    def note_on_replica(self, sql: object, node: str | None) -> None:
        """Count a statement that is about to run by a replica's alias, whose connection is to `node`, if it reads."""
        # What Django makes begins so, and on the other path each text would be searched once.
        if (isinstance(sql, str) and sql.startswith("SELECT")) or classify(sql).verb in QUERIES:
            self._count(open_unit(), "no_replica" if node == self._primary else "")

    def only_reads(self) -> bool:
        """Return whether this is a request that the rules sent to replicas and that has written nothing so far.

        While the primary is away a replica may serve even what such a request reads from the primary, unless nobody
        knows what it must see.
        """
        unit, blocks = open_unit(), current_place.get().blocks
        is_told = innermost_role(blocks) == Role.PRIMARY or any(block.unmet for block in blocks)
        if unit is None or is_told or self._config.dry_run or self._config.consistency.level == "strong":
            return False
        record = self._policy.record(unit)
        return record.verdict.role == Role.REPLICA and not record.wrote

    def may_repeat(self, wrapper: BaseDatabaseWrapper, sql: object) -> bool:
        """Return whether a statement can be executed again as if it were the first time: a read, in no transaction.

        On a replica's alias any statement, since its session is read-only. `sql` is None where a cursor is wanted.
        """
        if wrapper.in_atomic_block or not wrapper.autocommit:
            return False
        return wrapper.alias != self._primary or sql is None or not classify(sql).writes

    def may_move(self, wrapper: BaseDatabaseWrapper, sql: object) -> bool:
        """Return whether a statement may be executed again on another node.

        On the primary's alias only a read of a request that only reads.
        """
        return self.may_repeat(wrapper, sql) and (wrapper.alias != self._primary or self.only_reads())

    def count_move(self, wrapper: BaseDatabaseWrapper, sql: object, moves: int = 0) -> bool:
        """Count the move of a statement that failed with its node; return whether it may be made.

        A unit of work moves MOVES times at most; outside of any the statement counts its own, `moves` so far.
        """
        if not self.may_move(wrapper, sql):
            return False
        unit = open_unit()
        if unit is None:
            return moves < MOVES
        unit.moves += 1
        return unit.moves <= MOVES

    def is_last_move(self, moves: int) -> bool:
        """Return whether no further move may follow that of a statement which moves for the `moves`th time."""
        unit = open_unit()
        return max(moves, 0 if unit is None else unit.moves) >= MOVES

    def _reason(self, unit: UnitOfWork | None, statement: Statement) -> str:
        """Return why a read is on the primary's connection; "" where it stands for a replica's."""
        decision = current_decision() if unit is None else unit.decision
        if decision is not None and decision.role == Role.REPLICA:
            # In a DRY_RUN, and in the tests of a site, replicas are read by this connection.
            if self._config.dry_run or self._policy.pool.is_mirrored(decision.alias):
                return ""
        elif decision is not None and decision.alias == self._primary and self._was_asked(unit, statement):
            return decision.reason
        blocks = current_place.get().blocks
        if blocks and innermost_role(blocks) == Role.PRIMARY:
            return "use_primary"
        if unit is None:
            return OUTSIDE
        return "wrote" if unit.has_written(self._primary) else UNROUTED

    def _was_asked(self, unit: UnitOfWork | None, statement: Statement) -> bool:
        """Return whether the router sent a read here, as far as its text and the order of events tell."""
        if unit is None or self._config.dry_run:  # whose Rehearsal looks at the mark
            return True
        was_asked, unit.was_asked = unit.was_asked, False
        return was_asked or not statement.by_hand

    def _count(self, unit: UnitOfWork | None, reason: str) -> None:
        # One that was opened lazily lasts as long as its thread: nobody sees its end.
        if unit is None or (unit.method is None and unit.name is None):
            next(self.views[ViewRead(OUTSIDE, reason)])
            return
        record = self._policy.record(unit)
        seen = record.seen
        if seen is None:
            seen = record.seen = ReadsOfUnit()
            unit.at_end.append(partial(self._end, unit, unit.request, seen))
        seen.latest = reason
        if unit.request is None:
            next(self.views[ViewRead(JOB, reason)])
        elif (match := getattr(unit.request, "resolver_match", None)) is not None:
            next(self.views[ViewRead(self._view(match.route), reason)])
        else:
            seen.early.append(reason)
        if self._warns and reason in REMEDIES:
            self._note_unexpected(unit, record, seen, reason)

    def _view(self, route: str) -> str:
        """Return the label of a route; that of the site's root would be empty, which Prometheus takes for none."""
        if route not in self._views:
            if len(self._views) >= MOST_VIEWS:
                return OTHER
            self._views.add(route)
        return route or "/"

    def _note_unexpected(self, unit: UnitOfWork, record: ClusterRecord, seen: ReadsOfUnit, reason: str) -> None:
        if unit.method is None or record.verdict.role != Role.REPLICA:
            return
        if (unit.method, advice.view_of(unit)) in self._warned:
            return
        if not seen.unexpected:
            seen.remedy = advice.remedy(self._config, unit)
        seen.unexpected[reason] = seen.unexpected.get(reason, 0) + 1

    def _end(self, unit: UnitOfWork, request: HttpRequest | None, seen: ReadsOfUnit) -> None:
        match = getattr(request, "resolver_match", None)
        route = None if match is None else match.route
        view = UNMATCHED if route is None else self._view(route)
        for reason in seen.early:
            next(self.views[ViewRead(view, reason)])
        if seen.unexpected and (unit.method, route) not in self._warned:
            self._warned.add((unit.method, route))
            _tell(unit, view, seen)
        if unit_ended.receivers:
            unit_ended.send_robust(sender=self._primary, unit=unit)


def _tell(unit: UnitOfWork, view: str, seen: ReadsOfUnit) -> None:
    reads = sum(seen.unexpected.values())
    reasons = ", ".join(f"{reason} {times}" for reason, times in seen.unexpected.items())
    times = f"{reads} {'time' if reads == 1 else 'times'}"
    read = f"{unit.method} {unit.path} reads {times} from the primary ({reasons})"
    remedies = " ".join(REMEDIES[reason] for reason in seen.unexpected)
    logger.warning(
        "%s",
        advice.one_line(f"{read}, though the rules sent it to replicas. {remedies} {seen.remedy}"),
        extra={"event": "unexpected_primary_read", "view": view, "reads": reads, "reasons": dict(seen.unexpected)},
    )
