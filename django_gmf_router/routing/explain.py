"""Why would a read of this request go where it goes? The rules of the policy one by one, for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django_gmf_router.routing.advice import quoted
from django_gmf_router.routing.db_chooser import DbChooser
from django_gmf_router.settings.values import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule of the policy that holds for a request, with its number in the table and its own words."""

    number: int
    role: Role
    reason: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where the first read of a request goes: the aliases that may serve it, and the rules that hold, in order."""

    method: str
    path: str
    model: str | None
    aliases: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    @property
    def decided_by(self) -> Rule | None:
        """The first rule that holds; None where the model belongs to no cluster with replicas."""
        return self.rules[0] if self.rules else None

    @property
    def beaten(self) -> tuple[Rule, ...]:
        """The rules that hold too, but come later."""
        return self.rules[1:]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        rule = self.decided_by
        return {
            "method": self.method,
            "path": self.path,
            "model": self.model,
            "role": rule and rule.role,
            "reason": rule and rule.reason,
            "aliases": list(self.aliases),
            "rule": rule and asdict(rule),
            "beat": [asdict(beaten) for beaten in self.beaten],
        }


def rules_that_hold(chooser: DbChooser, *, method: str, path: str, primary_model: str | None) -> list[Rule]:
    """Return the rules that hold for the first read of a request, in order: the first one decides, it beats the rest.

    `primary_model` is the label of the model that is read, if it is a primary model. What the view does itself, by
    blocks, writes and transactions, is not known beforehand.
    """
    return list(_rules(chooser, method, path, primary_model))


def _rules(chooser: DbChooser, method: str, path: str, primary_model: str | None) -> Iterator[Rule]:
    subject = f"{method} {path}"
    if primary_model:
        yield _rule(2, Role.PRIMARY, "primary_model", f"{primary_model} is in PRIMARY_MODELS")
    master = chooser.master.first_match(subject)
    if master is not None:
        yield _rule(5, Role.PRIMARY, "master_override", f'DB_CHOOSER["master"] holds {quoted(master)}')
    slave = chooser.slave.first_match(subject)
    reads = method in chooser.read_methods
    if not reads and slave is None:
        yield _rule(6, Role.PRIMARY, "write_method", f"{method} is not in READ_METHODS and no slave pattern matches")
    if reads:
        yield _rule(10, Role.REPLICA, "read_method", f"{method} is in READ_METHODS")
    if slave is not None:
        yield _rule(10, Role.REPLICA, "slave_override", f'DB_CHOOSER["slave"] holds {quoted(slave)}')


def _rule(number: int, role: Role, reason: str, text: str) -> Rule:
    return Rule(number=number, role=role, reason=reason, text=text)
