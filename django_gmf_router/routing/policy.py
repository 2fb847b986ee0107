"""WHAT may a read use, primary or replica, and for which reason? The ordered rules of one cluster.

The order is that of the table in docs/explanation/how-a-query-finds-its-database.md; the first rule that holds wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from django_gmf_router.decision import Decision
from django_gmf_router.routing.aliases import ClusterAlias, MirroredAlias
from django_gmf_router.routing.blocks import OpenBlock, innermost_role, is_eventual
from django_gmf_router.routing.db_chooser import DbChooser, Verdict
from django_gmf_router.routing.outside import is_historical, is_migrating
from django_gmf_router.routing.transactions import PrimaryConnection, counts
from django_gmf_router.routing.unit_of_work import (
    NO_RECORD,
    ClusterRecord,
    UnitOfWork,
    current_place,
    open_unit,
)
from django_gmf_router.settings.values import Role
from django_gmf_router.signals import role_decided

PRIMARY_REASONS = (
    "use_primary",
    "primary_model",
    "outside_request",
    "master_override",
    "write_method",
    "wrote",
    "atomic",
    "instance",
    "no_replica",
    "consistency",
)


Blocks = tuple[OpenBlock, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the choice of a replica depends on: what the client wants to read at least, and who it is, if known."""

    wanted: Any = None
    key: str | None = None


ANYBODY = Client()


class Pool(Protocol):
    """WHICH replica: asked once per unit of work."""

    def pick(self, wanted: Any, key: str | None) -> tuple[str | None, str]:
        """Return a replica's alias and "", or None and the reason why the primary has to serve."""

    def is_mirrored(self, alias: str) -> bool:
        """Return whether this is a test run in which reads of the replica `alias` use the primary's connection."""

    def primary_is_down(self) -> bool:
        """Return whether the primary is known to be down."""


class Policy:
    """The rules of one cluster; `read` is the hot path."""

    def __init__(
        self,
        *,
        primary: str,
        aliases: frozenset[str],
        chooser: DbChooser,
        pool: Pool,
        outside: Role,
        on_connection: Callable[[Any], None],
        client: Callable[[UnitOfWork, Blocks], Client],
        strong: bool = False,
    ) -> None:
        """Take the aliases of the cluster, its rules over requests, its replicas, and the role outside requests.

        `on_connection` is given each thread's connection wrapper of the primary; `client` answers for whom a unit of
        work reads, inside which blocks; `strong` sends all reads to the primary.
        """
        self.primary = primary
        self.aliases = aliases
        self.chooser = chooser
        self._pool = pool
        self._client = client
        self._strong = strong
        self._outside = Verdict(role=outside, reason="outside_request")
        self.connection = PrimaryConnection(primary, on_connection)
        self._for_instances = ClusterAlias(primary, aliases)
        self._mirrored = MirroredAlias(primary)
        self._decisions: dict[tuple[str, str], Decision] = {}
        self.read = self._make_read()
        self._because = {reason: self._primary_decision(reason) for reason in PRIMARY_REASONS}

    def _make_read(self) -> Callable[[Any, Any], str | None]:
        """Make the hot path: a closure, since it reads its names twice as fast as a method reads attributes."""
        here, connection, slowly = current_place.get, self.connection, self._read

        def read(model: Any, instance: Any) -> str | None:
            """Return the alias that serves a read of `model`; None for an `instance` from outside the cluster."""
            # The last read here went to the replica of this unit of work, nothing since then sent reads elsewhere, and
            # the instance, if any, was read from that replica.
            record = here().latest
            if record.settled_for is self and (instance is None or instance._state.db is record.answer):
                wrapper = connection.wrapper
                # Inside a transaction autocommit is off, and before the first connection as well.
                if wrapper.autocommit or (wrapper.connection is None and not wrapper.in_atomic_block):
                    return record.answer
            return slowly(model, instance)

        return read

    def read_primary_model(self, model: Any, instance: Any) -> str | None:
        """Return the primary's alias, rule 2; None for an `instance` from outside the cluster."""
        if instance is not None and not self.owns(instance):
            return None
        unit = open_unit()
        if self._pool.primary_is_down() and unit is not None and self.record(unit).verdict.role == Role.REPLICA:
            return self._on_replica(unit, current_place.get().blocks, "no_primary", model)
        return self._on_primary(unit, "primary_model", model)

    def write(self, _model: Any, instance: Any) -> str | None:
        """Return the alias that takes a write, the primary's; None for an `instance` from outside the cluster."""
        self.connection.wrapper  # noqa: B018  it is made under the plain alias before a ClusterAlias asks for it
        if instance is None:
            return self.primary
        return self._for_instances if self.owns(instance) else None

    def owns(self, instance: Any) -> bool:
        """Return whether `instance` belongs to this cluster: new, or loaded from or saved to one of its aliases."""
        alias = instance._state.db
        return alias is None or alias in self.aliases

    def _is_on_primary(self, instance: Any) -> bool:
        """Return whether `instance` was loaded from or saved to the primary."""
        alias = instance._state.db
        return alias == self.primary and not isinstance(alias, MirroredAlias)

    def only_reads(self) -> bool:
        """Return whether this is a request that the rules sent to replicas and that has written nothing so far.

        While the primary is away a replica may serve even what such a request reads from the primary.
        """
        unit = open_unit()
        if unit is None or self._strong or innermost_role(current_place.get().blocks) == Role.PRIMARY:
            return False
        record = self.record(unit)
        return record.verdict.role == Role.REPLICA and not record.wrote

    def wanted(self) -> Any:
        """Return what the client of this context wants to read at least; None: anything."""
        here = current_place.get()
        unit = open_unit() or next((block.unit for block in here.blocks if block.unit), None)
        return None if unit is None else self._client(unit, here.blocks).wanted

    def record(self, unit: UnitOfWork) -> ClusterRecord:
        """Return what `unit` remembers of this cluster; rules 4 to 6 are computed when it is first asked."""
        record = unit.records.get(self.primary)
        if record is None:
            fresh = ClusterRecord(self, self.verdict(unit.method, unit.path))
            # Another thread of the request may have been faster.
            record = unit.records.setdefault(self.primary, fresh)
        return record

    def verdict(self, method: str | None, path: str | None) -> Verdict:
        """Return what the rules over `METHOD /path` say; outside requests both are None."""
        if method is None or path is None:
            return self._outside
        return self.chooser.verdict(method, path)

    def last_decision(self, unit: UnitOfWork) -> Decision | None:
        """Return the decision of the last read of `unit` here; without one, what sends all to the primary."""
        if unit.decision is not None and unit.decision.alias in self.aliases:
            return unit.decision
        verdict = self.record(unit).verdict
        return self._because[verdict.reason] if verdict.role == Role.PRIMARY else None

    def _read(self, model: Any, instance: Any) -> str | None:
        """Apply rules 3 and 4."""
        if instance is not None and not self.owns(instance):
            return None
        unit = open_unit()
        blocks = current_place.get().blocks
        if any(block.unmet for block in blocks):
            return self._on_primary(unit or blocks[-1].unit, "consistency", model)
        for block in reversed(blocks):
            if block.role == Role.PRIMARY:
                return self._on_primary(unit or block.unit, block.reason, model)
            if block.role == Role.REPLICA:
                return self._on_replica(unit or block.unit or UnitOfWork(), blocks, block.reason, model)
        if unit is None and not is_historical(model):
            unit = self.open_outside()
        if unit is None:
            return self._on_primary(None, "outside_request", model)
        return self._read_in(unit, blocks, model, instance)

    def open_outside(self) -> UnitOfWork | None:
        """Open a unit of work outside requests, for this thread or task; None where the primary is read there."""
        if self._outside.role == Role.PRIMARY or is_migrating():
            return None
        unit = UnitOfWork()
        current_place.set(unit)
        return unit

    def _read_in(self, unit: UnitOfWork, blocks: Blocks, model: Any, instance: Any) -> str:
        """Apply rules 5 to 10."""
        record = self.record(unit)
        if record.verdict.role == Role.PRIMARY:
            reason = record.verdict.reason
        elif record.wrote:
            reason = "wrote"
        elif counts(self.connection.wrapper, unit, record):
            reason = "atomic"
        elif instance is not None and self._is_on_primary(instance):
            reason = "instance"
        else:
            return self._on_replica(unit, blocks, record.verdict.reason, model)
        return self._on_primary(unit, reason, model)

    def _on_replica(self, unit: UnitOfWork, blocks: Blocks, reason: str, model: Any) -> str:
        record = self.record(unit)
        # A block that asks for other data than the rest of the unit of work has a replica of its own.
        if is_eventual(blocks) or any(block.token is not None for block in blocks):
            innermost = blocks[-1]
            if self not in innermost.picks:
                innermost.picks.setdefault(self, self._choose(self._client(unit, blocks), reason))
            decision, answer = innermost.picks[self]
        else:
            if record.decision is None:
                record.pick(*self._choose(self._client(unit, blocks), record.verdict.reason))
            decision, answer = record.decision or self._because["no_replica"], record.answer
        if decision.role == Role.REPLICA and decision.reason != reason:
            decision = self._replica_decision(decision.alias, reason)
        self._decided(unit, decision, model)
        if not blocks and decision is record.decision:
            unit.latest = record
        return answer

    def _choose(self, client: Client, reason: str) -> tuple[Decision, str]:
        """Return the decision on a replica for `client`, and the alias whose connection serves it."""
        if self._strong:
            return self._because["consistency"], self.primary
        alias, why_not = self._pool.pick(client.wanted, client.key)
        if alias is None:
            return self._because[why_not], self.primary
        return self._replica_decision(alias, reason), self._mirrored if self._pool.is_mirrored(alias) else alias

    def _on_primary(self, unit: UnitOfWork | None, reason: str, model: Any) -> str:
        self._decided(unit, self._because[reason], model)
        return self.primary

    def _decided(self, unit: UnitOfWork | None, decision: Decision, model: Any) -> None:
        changed = unit is None or unit.decision != decision
        if unit is not None:
            unit.decision = decision
            unit.latest = NO_RECORD
        if changed and role_decided.receivers:
            role_decided.send(sender=self.primary, decision=decision, model=model)

    def _replica_decision(self, alias: str, reason: str) -> Decision:
        # Few and always the same: making one costs more than all the rest of a pick.
        decision = self._decisions.get((alias, reason))
        if decision is None:
            decision = self._decisions[alias, reason] = Decision(role=Role.REPLICA, alias=alias, reason=reason)
        return decision

    def _primary_decision(self, reason: str) -> Decision:
        return Decision(role=Role.PRIMARY, alias=self.primary, reason=reason)
