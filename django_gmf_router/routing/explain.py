"""Why would a read of this request go where it goes? The rules of the policy one by one, for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from django.db.models import Model

from django_gmf_router.routing.advice import quoted
from django_gmf_router.routing.db_chooser import METHOD_REASONS
from django_gmf_router.routing.policy import Policy
from django_gmf_router.routing.primary_models import is_primary_model
from django_gmf_router.routing.rules import RULES, Read
from django_gmf_router.routing.unit_of_work import ClusterRecord, UnitOfWork
from django_gmf_router.settings.values import ClusterConfig, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingRule:
    """A rule of the policy that holds for a request, with its number in the table and its own words."""

    number: int | str
    role: Role
    reason: str
    text: str

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {"number": self.number, "role": self.role, "reason": self.reason, "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where the first read of a request goes."""

    method: str
    path: str
    model: str | None
    aliases: tuple[str, ...] = ()
    """Those that may serve it."""
    then: tuple[str, ...] = ()
    """Those that serve it while none of `aliases` can, the first ones first; at last the primary."""
    pool: str | None = None
    """Whose replicas serve it; None: the default pool."""
    rules: tuple[HoldingRule, ...] = ()
    """Those that hold, in order: the first one decides, it beats the rest."""
    but: tuple[str, ...] = ()
    """What else the settings say of it: of the client, by code of the site, or that it is not done."""

    @property
    def decided_by(self) -> HoldingRule | None:
        """The first rule that holds; None where the model belongs to no cluster with replicas."""
        return self.rules[0] if self.rules else None

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        rule = self.decided_by
        return {
            "method": self.method,
            "path": self.path,
            "model": self.model,
            "role": rule and rule.role,
            "reason": rule and rule.reason,
            "aliases": list(self.aliases),
            "then": list(self.then),
            "pool": self.pool,
            "rule": rule and rule.as_dict(),
            "beat": [beaten.as_dict() for beaten in self.rules[1:]],
            "but": list(self.but),
        }


def explain(config: ClusterConfig, policy: Policy, *, method: str, path: str, model: type[Model] | None) -> Explanation:
    """Return why the first read of a request goes where it goes.

    Without `model` that of one which is no primary model, and which REPLICA_MODELS holds.

    What the view does itself, by blocks, writes and transactions, is not known beforehand.
    """
    unit = UnitOfWork()
    unit.method, unit.path = method, path
    verdict = policy.chooser.verdict(method, path, shares=config.share > 0, completely=True)
    record = unit.records[policy.primary] = ClusterRecord(verdict)
    is_primary = model is not None and is_primary_model(config.primary_models, model)
    is_opted_in = model is None or config.replica_models is None or is_primary_model(config.replica_models, model)
    read = Read(policy.pool, policy.connection, unit, record, (), is_primary, is_opted_in=is_opted_in)
    label = None if model is None else model._meta.label
    names = {
        "method": method,
        "model": label,
        "master": quoted(verdict.master or ""),
        "slave": quoted(verdict.slave or ""),
    }
    rules = tuple(
        HoldingRule(
            number=rule.number, role=rule.role, reason=rule.reason, text=rule.detail.format(**names) or rule.when
        )
        for rule in RULES
        if rule.holds(read)
    )
    but = tuple(_but(config, rules[0], is_open=policy.chooser.leaves_open(verdict)))
    found = Explanation(method=method, path=path, model=label, aliases=(config.primary,), rules=rules, but=but)
    if rules[0].role != Role.REPLICA:
        return found
    # A default pool without a replica has no tier: the primary serves.
    first, *others = [tuple(replica.alias for replica in tier) for tier in config.tiers(verdict.pool)] or [()]
    shares = (config.primary,) if verdict.pool is None and (config.primary_weight or not first) else ()
    return replace(found, aliases=(*first, *shares), then=tuple(chain(*others)), pool=verdict.pool)


def _but(config: ClusterConfig, rule: HoldingRule, *, is_open: bool) -> Iterator[str]:
    """Yield what holds beside the rule that decides; `is_open`: CHOOSER has its say."""
    if is_open and rule.reason in METHOD_REASONS:
        yield f"unless CHOOSER, {config.chooser}, says otherwise"
    if rule.role == Role.REPLICA and 0 < config.share < 1:
        yield f"for a SHARE of {config.share:g} of the clients; for the others primary, share"
    if rule.role == Role.REPLICA and config.dry_run:
        yield "DRY_RUN: the primary is read all the same"
