"""Which rules send a request where, for people, and which line of the settings sends it to the primary instead?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain

from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, converters, get_script_prefix, reverse
from django.utils.translation import get_language_from_path

from django_gmf_router.routing.db_chooser import METHOD_REASONS
from django_gmf_router.routing.policy import Policy
from django_gmf_router.routing.primary_models import is_primary_model
from django_gmf_router.routing.rules import RULES, Read
from django_gmf_router.routing.unit_of_work import ClusterRecord, UnitOfWork
from django_gmf_router.settings.values import ClusterConfig, Role

_CONVERTER = re.compile(r"<(?:(\w+):)?\w+>")


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


# What sends it to the primary


def remedy(config: ClusterConfig, unit: UnitOfWork) -> str:
    """Return how all reads of the request of `unit` come to the primary: a line of settings.py, below GMF_ROUTER.

    No line is told for a route that other pages have too, such as a CMS' for all of its pages: it would send the whole
    site to the primary.
    """
    pattern = pattern_for(unit)
    entry = f"GMF_ROUTER[{quoted(config.primary).removeprefix('r')}]"
    if catches_others(pattern, unit):
        instead = "say use_primary() in the view: a pattern of its route would match other pages too"
        return f"To send all its reads there, {instead}. To allow it, add {entry}{_allowing(config, quoted(pattern))}"
    line = f'{entry}.setdefault("DB_CHOOSER", {{}}).setdefault("master", []).append({quoted(pattern)})'
    text = f"To send all its reads there, add {line}"
    if "DATABASE_REPLICA_URLS" in os.environ:
        return f"{text} or, as one more line of GMF_DB_CHOOSER_MASTER, {pattern}"
    return text


def pattern_for(unit: UnitOfWork) -> str:
    """Return a pattern that matches the request of `unit`: its route, or where that fails its very path."""
    subject = f"{unit.method} {unit.path}"
    route = _route(unit.request)
    if route is not None:
        pattern = f"{_methods(unit.method)} {re.escape(get_script_prefix())}{route}$"
        if _matches(pattern, subject):
            return pattern
    return f"{_methods(unit.method)} {re.escape(unit.path or '')}$"


def view_of(unit: UnitOfWork) -> str | None:
    """Return the route of the view that serves `unit`, None where no view was found."""
    match = getattr(unit.request, "resolver_match", None)
    return None if match is None else match.route


def quoted(pattern: str) -> str:
    """Return `pattern` as a raw Python string where that is possible."""
    return repr(pattern) if '"' in pattern or pattern.endswith("\\") else f'r"{pattern}"'


def one_line(text: str) -> str:
    """Return a text for the log in one line: a path may hold what a browser writes as %0A, and forge another one."""
    return " ".join(text.split())


def _methods(method: str | None) -> str:
    # HEAD runs the GET view.
    return "(GET|HEAD)" if method in {"GET", "HEAD"} else str(method)


def _route(request: HttpRequest | None) -> str | None:
    match = getattr(request, "resolver_match", None)
    if match is None or not match.route:
        return None
    if "(?P" in match.route or "^" in match.route:  # re_path(): an expression already
        return str(match.route).replace("^", "").rstrip("$")
    known = converters.get_converters()
    parts, position = [], 0
    for found in _CONVERTER.finditer(match.route):
        converter = known.get(found[1] or "str")
        parts += [
            re.escape(match.route[position : found.start()]),
            converter.regex if converter else r"[^/]+",
        ]
        position = found.end()
    return "".join((*parts, re.escape(match.route[position:])))


def _allowing(config: ClusterConfig, pattern: str) -> str:
    """Return what allows writes by a `pattern` and leaves all else that UNEXPECTED_WRITES says as it is."""
    writes = config.unexpected_writes
    if writes.allow or writes.warn or writes.refuse:
        return f'["UNEXPECTED_WRITES"].setdefault("allow", []).append({pattern})'
    others = '"refuse": [""], ' if writes.otherwise == "refuse" else ""
    return f'["UNEXPECTED_WRITES"] = {{{others}"allow": [{pattern}]}}'


def catches_others(pattern: str, unit: UnitOfWork) -> bool:
    """Return whether `pattern` matches pages at the site's root, or of its admin, besides that of `unit`."""
    root = get_script_prefix()
    language = get_language_from_path(unit.path or "")
    pages = [root, *(f"{root}{language}/" for _ in [language] if language)]
    # However deep: some catch one name, some any.
    pages += [f"{page}{below}" for page in pages for below in ("x", "x/", "x/y", "x/y/")]
    with suppress(NoReverseMatch):
        pages.append(reverse("admin:index"))
    return any(page != unit.path and _matches(pattern, f"{unit.method} {page}") for page in pages)


def _matches(pattern: str, subject: str) -> bool:
    try:
        return re.match(pattern, subject) is not None
    except re.error:
        return False
