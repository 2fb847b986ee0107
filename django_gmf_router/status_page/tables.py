"""How do the figures of a cluster read? The words of the page's tables, as its first HTML and each poll tell them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import pgettext, pgettext_lazy

from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.status import NodeReport
from django_gmf_router.settings.values import Role

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

NODES = {
    "alias": pgettext_lazy("status page", "Node"),
    "role": pgettext_lazy("status page", "Role"),
    "state": pgettext_lazy("status page", "State"),
    "lag": pgettext_lazy("status page", "Lag"),
    "latency": pgettext_lazy("status page", "Latency"),
    "position": pgettext_lazy("status page", "Position"),
    "share": pgettext_lazy("status page", "Share of reads"),
    "error": pgettext_lazy("status page", "Last error"),
}
DECISIONS = {
    "role": pgettext_lazy("status page", "Role"),
    "reason": pgettext_lazy("status page", "Reason"),
    "count": pgettext_lazy("status page", "Decisions"),
    "part": pgettext_lazy("status page", "Part"),
}
RULES = {
    "key": pgettext_lazy("status page", "Key"),
    "pattern": pgettext_lazy("status page", "Pattern"),
    "requests": pgettext_lazy("status page", "Requests"),
}
UNKNOWN = "unknown"
"""The state of a node that was not heard of, not yet or no more."""
STATES = {
    State.UP: pgettext_lazy("node", "up"),
    State.SLOW: pgettext_lazy("node", "slow"),
    State.LAGGING: pgettext_lazy("node", "lagging"),
    State.DOWN: pgettext_lazy("node", "down"),
    UNKNOWN: pgettext_lazy("node", "unknown"),
}
ROLES = {
    Role.PRIMARY.value: pgettext_lazy("status page", "primary"),
    Role.REPLICA.value: pgettext_lazy("status page", "replica"),
}
NOTHING = "-"
NEVER = "never"
DRAINED = "drained"


class Cell(NamedTuple):
    """One text, in the column `field`."""

    field: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The cells of a row, and a mark that its looks depend on."""

    cells: tuple[Cell, ...]
    mark: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {"mark": self.mark, "cells": {cell.field: cell.text for cell in self.cells}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the page."""

    name: str
    columns: Mapping[str, StrOrPromise]
    rows: tuple[Row, ...]

    @property
    def blank(self) -> Row:
        """A row of which others are made."""
        return row(self.columns, {})


def row(columns: Mapping[str, StrOrPromise], texts: Mapping[str, str], mark: str = "") -> Row:
    """Return a row of these texts."""
    cells = tuple(Cell(field, str(heading), texts.get(field, "")) for field, heading in columns.items())
    return Row(cells=cells, mark=mark)


def of_nodes(nodes: Iterable[tuple[NodeReport, float | None]]) -> Table:
    """Return the table of nodes, each with its latency in seconds."""
    return Table(name="nodes", columns=NODES, rows=tuple(_of_node(node, latency) for node, latency in nodes))


def of_decisions(counts: Mapping[tuple[str, str], int]) -> Table:
    """Return the table of decisions by role and reason, the most frequent first."""
    total = sum(counts.values())
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = (
        row(
            DECISIONS,
            {"role": str(ROLES[role]), "reason": reason, "count": f"{count:,}", "part": f"{count / total:.1%}"},
            role,
        )
        for (role, reason), count in most_first
        if count
    )
    return Table(name="decisions", columns=DECISIONS, rows=tuple(rows))


def of_rules(hits: Mapping[tuple[str, str], int]) -> Table:
    """Return the table of the patterns of DB_CHOOSER, by key and pattern the requests that they decided."""
    rows = (
        row(
            RULES,
            {"key": key, "pattern": pattern, "requests": f"{count:,}" if count else pgettext("rule", "never")},
            "" if count else NEVER,
        )
        for (key, pattern), count in hits.items()
    )
    return Table(name="rules", columns=RULES, rows=tuple(rows))


def _of_node(node: NodeReport, latency: float | None) -> Row:
    texts = {
        "alias": _name(node),
        "role": str(ROLES[node.role]),
        "state": _state(node),
        "lag": NOTHING if node.lag is None else f"{node.lag:.1f} s",
        "latency": NOTHING if latency is None else f"{latency * 1000:.1f} ms",
        "position": (node.position or NOTHING) if node.tells_position else pgettext("position", "unknown"),
        "share": NOTHING if node.share is None else f"{node.share:.1%}".replace(".0%", "%"),
        "error": node.error or NOTHING,
    }
    return row(NODES, texts, DRAINED if node.drained and node.state == State.UP else node.state)


def _name(node: NodeReport) -> str:
    """Return its alias, and what sets it apart where there are several pools or tiers."""
    others = [_("pool %s") % node.pool] if node.pool else []
    others += [_("tier %s") % node.tier] if node.tier not in {None, 1} else []
    return f"{node.alias} ({', '.join(others)})" if others else node.alias


def _state(node: NodeReport) -> str:
    """Return it, and since when where that is no good news; of a node that is up `since` tells when it was started."""
    state = str(STATES[node.state])
    if node.drained:
        state = _("%(state)s, drained") % {"state": state}
    if node.state == State.UP or node.since is None:
        return state
    return _("%(state)s since %(moment)s") % {"state": state, "moment": moment(datetime.fromisoformat(node.since))}


def moment(at: datetime) -> str:
    """Return it in the site's time zone."""
    return f"{localtime(at):%Y-%m-%d %H:%M:%S %Z}"
