"""WHAT may a read use, primary or replica, and for which reason? The rules of one cluster, walked in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_gmf_router.consistency.tokens import Token
from django_gmf_router.postgres.tallies import Tally
from django_gmf_router.replicas.pool import ReplicaPool, Wanted
from django_gmf_router.routing.aliases import ClusterAlias, RoutedAlias, is_at_home
from django_gmf_router.routing.db_chooser import Client, DbChooser, Verdict, chosen, is_in_share, key_of, verdict_of_job
from django_gmf_router.routing.primary_models import is_historical, is_migrating, is_user
from django_gmf_router.routing.rules import PRIMARY, REPLICA, RULES, PrimaryConnection, Read
from django_gmf_router.routing.spill import Spill
from django_gmf_router.routing.unit_of_work import (
    NO_RECORD,
    Blocks,
    ClusterRecord,
    Decision,
    UnitOfWork,
    current_place,
    decision_of,
    innermost_role,
    is_eventual,
    open_unit,
    place,
    pool_of,
)
from django_gmf_router.settings.values import ClusterConfig
from django_gmf_router.signals import role_decided

if TYPE_CHECKING:
    from django.db.models import Model

    from django_gmf_router.consistency.stores import Store

Answer = Callable[["type[Model]", "Model | None"], "str | None"]
"""What returns the alias for a model and an instance hint."""


class Policy:
    """The rules of one cluster; `read` is the hot path."""

    def __init__(self, config: ClusterConfig, pool: ReplicaPool, store: Store) -> None:
        """Take the cluster's settings, its replicas, and where its clients' tokens are kept."""
        self.primary = config.primary
        self.aliases = config.aliases
        self.chooser = DbChooser(config)
        self.pool = pool
        self._config = config
        self._store = store
        self._spill = Spill(config)
        self.decisions: Tally[Decision] = Tally()
        """Whenever the decision of a unit of work changed, and for each read outside of any."""
        self.tokens: Tally[str] = Tally()
        """What became of what clients had to see, and how many were given a token."""
        self._outside = Verdict(role=config.outside_requests, reason="outside_request")
        self.connection = PrimaryConnection(config.primary)
        self._for_instances = ClusterAlias.of(config.primary, config.aliases)
        # One object for each: the hot path compares by identity.
        self._routed = {alias: RoutedAlias(alias, config.primary) for alias in config.replica_aliases}
        self._mirrored = RoutedAlias(config.primary, config.primary)
        self.read = self._make_read()

    def _make_read(self) -> Answer:
        """Make the hot path: a closure, since it reads its names twice as fast as a method reads attributes."""
        if self._config.dry_run:  # which counts each
            return partial(self._decide, model_is_primary=False)
        here, connection, monitor = current_place.get, self.connection, self.pool.monitor

        def read(model: type[Model], instance: Model | None) -> str | None:
            """Return the alias that serves a read of `model`; None for an `instance` from outside the cluster."""
            # The last read here went to the replica of this unit of work, nothing since then sent reads elsewhere or
            # told something new of the nodes, and the instance, if any, was read from that replica.
            record = here().latest
            if (
                record.settled_for is self
                and record.snapshot is monitor.snapshot
                and (instance is None or instance._state.db is record.alias)
            ):
                wrapper = connection.wrapper
                # Inside a transaction autocommit is off, and before the first connection as well.
                if wrapper.autocommit or (wrapper.connection is None and not wrapper.in_atomic_block):
                    return record.alias
            return self._decide(model, instance, model_is_primary=False)

        return read

    def read_primary_model(self, model: type[Model], instance: Model | None) -> str | None:
        """Return the alias that serves a read of a primary model; None for an `instance` from outside the cluster."""
        return self._decide(model, instance, model_is_primary=True)

    def read_unlisted(self, model: type[Model], instance: Model | None) -> str | None:
        """Return the alias that serves a read of a model that REPLICA_MODELS leaves out."""
        return self._decide(model, instance, model_is_primary=False, is_opted_in=False)

    def write(self, _model: type[Model], instance: Model | None) -> str | None:
        """Return the alias that takes a write, the primary's; None for an `instance` from outside the cluster."""
        self.connection.wrapper  # noqa: B018  it is made under the plain alias before a ClusterAlias asks for it
        if instance is None:
            return self.primary
        return self._for_instances if self.owns(instance) or is_at_home(instance) else None

    def owns(self, instance: Model) -> bool:
        """Return whether `instance` belongs to this cluster: new, or loaded from or saved to one of its aliases.

        So does what comes out of a cache with an alias that is configured no more.
        """
        alias = instance._state.db
        return alias is None or alias in self.aliases or alias not in connections.settings

    def wanted(self) -> Wanted | None:
        """Return what the client of this context wants to read at least; None: anything."""
        blocks = current_place.get().blocks
        unit = open_unit() or next((block.unit for block in blocks if block.unit), None)
        if unit is None:
            return None
        if (record := self.record(unit)).decision is not None and not blocks:
            return record.wanted
        return self._client_of(unit, blocks).wanted

    def _client_of(self, unit: UnitOfWork, blocks: Blocks) -> Client:
        """Return what the client of `unit` must be able to read inside `blocks`, and who it is."""
        # Who says read_after() means it inside an eventual block, too: only what the client brought is relaxed there.
        found = [block.token for block in blocks]
        # What a job was given it asked for, whatever the clients of the site are promised.
        if (self._config.consistency.level == "session" or unit.name is not None) and not is_eventual(blocks):
            found.append(token_of(unit, self._store))
        key = None
        if self._config.balancer == "stable" and unit.request is not None:
            key = unit.request.COOKIES.get(settings.SESSION_COOKIE_NAME) or self._store.read(unit.request)
        tokens = [token for token in found if token is not None]
        if tokens and (mark := (token := reduce(Token.merged, tokens)).mark(self.primary)) is not None:
            return Client(Wanted(mark=mark, time=token.time), key)
        return Client(None, key)

    def record(self, unit: UnitOfWork) -> ClusterRecord:
        """Return what `unit` remembers of this cluster; rules 5, 6 and 10 are looked at when it is first asked."""
        record = unit.records.get(self.primary)
        if record is None:
            is_request = unit.method is not None and unit.path is not None
            if is_request:
                verdict = self.chooser.verdict(str(unit.method), str(unit.path), shares=self._shares(unit))
            else:
                verdict = self._outside if unit.name is None else verdict_of_job(shares=self._shares(unit))
            made = ClusterRecord(verdict, is_open=is_request and self.chooser.leaves_open(verdict))
            # Another thread of the request may have been faster.
            record = unit.records.setdefault(self.primary, made)
        return record

    def _shares(self, unit: UnitOfWork) -> bool:
        """Return whether replicas serve the client of `unit`."""
        share = self.pool.share()
        return share >= 1 or is_in_share(key_of(unit.request) if unit.request else str(unit.name), share)

    def ask_chooser(self, unit: UnitOfWork, record: ClusterRecord) -> None:
        """Ask CHOOSER once, where it has its say: what it reads itself goes by the method, as in other threads."""
        record.is_open = False
        if self.chooser.chooser is not None and unit.request is not None:
            try:
                role = self.chooser.chooser.ask(unit.request)
            except SynchronousOnlyOperation:
                # It asks a database, for the user, in the thread of an event loop: a later read is made elsewhere.
                record.is_open = True
                return
            if role is not None:
                record.choose(chosen(record.verdict, role))

    def last_decision(self, unit: UnitOfWork) -> Decision | None:
        """Return the decision of the last read of `unit` here; without one, what sends all to the primary."""
        if unit.decision is not None and unit.decision.alias in self.aliases:
            return unit.decision
        verdict = self.record(unit).verdict
        return decision_of(PRIMARY, self.primary, verdict.reason) if verdict.role == PRIMARY else None

    def open_outside(self) -> UnitOfWork | None:
        """Open a unit of work outside requests, for this thread or task; None where the primary is read there."""
        if self._outside.role == PRIMARY or is_migrating():
            return None
        unit = UnitOfWork()
        current_place.set(place(unit, current_place.get().blocks))
        return unit

    def _decide(
        self, model: type[Model], instance: Model | None, *, model_is_primary: bool, is_opted_in: bool = True
    ) -> str | None:
        if instance is not None and not self.owns(instance):
            if not is_at_home(instance):
                return None
            instance = None
        unit, blocks = open_unit(), current_place.get().blocks
        if unit is None and not (model_is_primary or innermost_role(blocks) or is_historical(model)):
            unit = self.open_outside()
        record = NO_RECORD if unit is None else self.record(unit)
        if record.is_open and unit is not None and is_opted_in and not (model_is_primary or innermost_role(blocks)):
            self.ask_chooser(unit, record)
        read = Read(self.pool, self.connection, unit, record, blocks, model_is_primary, instance, is_opted_in)
        rule = next(rule for rule in RULES if rule.holds(read))
        unit = unit or (blocks[-1].unit if blocks else None)
        if rule.role == REPLICA:
            return self._on_replica(unit or UnitOfWork(), blocks, rule.reason, model)
        if unit is not None and rule.reason == "wrote":
            unit.reads_after_write += 1
        self._note(unit, decision_of(PRIMARY, self.primary, rule.reason), model)
        return self.primary

    def _on_replica(self, unit: UnitOfWork, blocks: Blocks, reason: str, model: type[Model]) -> str:
        record = self.record(unit)
        if is_eventual(blocks) and is_user(model):
            # Django ends a session whose password differs from the user's: an old one would log its owner out.
            blocks = tuple(block for block in blocks if not block.eventual)
        # A block that asks for other data than the rest of the unit of work has a replica of its own.
        if is_eventual(blocks) or any(block.token is not None or block.pool is not None for block in blocks):
            picks = blocks[-1].picks
            picked = picks.get(self)
            if picked is not None and not self._goes_on(picked[0], unit):
                picks.pop(self, None)
                picked = None
            if picked is None:
                client, pool = self._client_of(unit, blocks), pool_of(blocks)
                # Threads that read first at the same time share a replica.
                picked = picks.setdefault(self, self._choose(unit, client, reason, pool or record.verdict.pool))
            decision, alias = picked
        else:
            decision, alias = self._settled(unit, blocks, record)
        if decision.role == REPLICA and decision.reason != reason:
            decision = decision_of(REPLICA, decision.alias, reason)
        self._note(unit, decision, model)
        if not blocks and decision is record.decision:
            unit.latest = record
            # A task that outlives its request may come here just while that ends.
            if unit.closed:
                unit.latest = NO_RECORD
        return alias

    def _settled(self, unit: UnitOfWork, blocks: Blocks, record: ClusterRecord) -> tuple[Decision, str]:
        """Return what serves the reads of `unit`: looked at again when something new is known of the nodes."""
        snapshot, decision = self.pool.monitor.snapshot, record.decision
        if decision is None or not self._goes_on(decision, unit):
            client = self._client_of(unit, blocks)
            record.wanted = client.wanted
            chosen, alias = self._choose(unit, client, record.verdict.reason, record.verdict.pool)
            record.settle(self, chosen, alias, instead_of=decision)
        record.snapshot = snapshot
        return record.decision or decision_of(PRIMARY, self.primary, "no_replica"), record.alias

    def _goes_on(self, decision: Decision, unit: UnitOfWork) -> bool:
        """Return whether `unit` may read on as was decided."""
        for_ever, streams = unit.method is None, unit.streams
        return decision.role == PRIMARY or self.pool.may_go_on(decision.alias, for_ever=for_ever, streams=streams)

    def spill(self, wrapper: BaseDatabaseWrapper) -> None:
        """Let this unit of work read from the primary, not a replica; raise PrimaryBusy where SPILL forbids it."""
        if (unit := open_unit()) is not None:
            self._spill.take(unit, self.record(unit), wrapper)

    def _choose(self, unit: UnitOfWork, client: Client, reason: str, pool: str | None) -> tuple[Decision, str]:
        """Return the decision on a replica, and the alias whose connection serves it."""
        if self._config.consistency.level == "strong":
            return decision_of(PRIMARY, self.primary, "consistency"), self.primary
        alias, why_not = unit.pick(client.wanted, partial(self.pool.pick, client.wanted, client.key, pool))
        if client.wanted is not None and (alias is not None or why_not == "consistency"):
            next(self.tokens[(PRIMARY if alias is None else REPLICA).value])
        if alias is None:
            if why_not == "no_replica" and not self._config.dry_run:
                self.spill(self.connection.wrapper)
            return decision_of(PRIMARY, self.primary, why_not), self.primary
        is_here = not (self._config.dry_run or self.pool.is_mirrored(alias))
        return decision_of(REPLICA, alias, reason), self._routed[alias] if is_here else self._mirrored

    def _note(self, unit: UnitOfWork | None, decision: Decision, model: type[Model]) -> None:
        changed = unit is None or unit.decision != decision
        if unit is not None:
            unit.decision = decision
            unit.was_asked = True
            unit.latest = NO_RECORD
        if changed:
            next(self.decisions[decision])
            if role_decided.receivers:
                role_decided.send(sender=self.primary, decision=decision, model=model)


def token_of(unit: UnitOfWork, store: Store) -> Token | None:
    """Return the token that the client of `unit` brought; verified once."""
    tokens = unit.tokens = {} if unit.tokens is None else unit.tokens
    if store not in tokens:
        tokens[store] = None if unit.request is None else store.token_of(unit.request)
    return tokens[store]
