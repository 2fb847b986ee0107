"""How do the figures of a cluster read? The words of the page's tables, as its first HTML and each poll tell them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.utils.timezone import localtime

from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.status import NodeReport

NODES = {
    "alias": "Node",
    "role": "Role",
    "state": "State",
    "lag": "Lag",
    "latency": "Latency",
    "position": "Position",
    "share": "Share of reads",
    "error": "Last error",
}
DECISIONS = {"role": "Role", "reason": "Reason", "count": "Decisions", "part": "Part"}
RULES = {"key": "Key", "pattern": "Pattern", "requests": "Requests"}
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
    columns: Mapping[str, str]
    rows: tuple[Row, ...]

    @property
    def blank(self) -> Row:
        """A row of which others are made."""
        return row(self.columns, {})


def row(columns: Mapping[str, str], texts: Mapping[str, str], mark: str = "") -> Row:
    """Return a row of these texts."""
    cells = tuple(Cell(field, heading, texts.get(field, "")) for field, heading in columns.items())
    return Row(cells=cells, mark=mark)


def of_nodes(nodes: Iterable[tuple[NodeReport, float | None]]) -> Table:
    """Return the table of nodes, each with its latency in seconds."""
    return Table(name="nodes", columns=NODES, rows=tuple(_of_node(node, latency) for node, latency in nodes))


def of_decisions(counts: Mapping[tuple[str, str], int]) -> Table:
    """Return the table of decisions by role and reason, the most frequent first."""
    total = sum(counts.values())
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = (
        row(DECISIONS, {"role": role, "reason": reason, "count": f"{count:,}", "part": f"{count / total:.1%}"}, role)
        for (role, reason), count in most_first
        if count
    )
    return Table(name="decisions", columns=DECISIONS, rows=tuple(rows))


def of_rules(hits: Mapping[tuple[str, str], int]) -> Table:
    """Return the table of the patterns of DB_CHOOSER, by key and pattern the requests that they decided."""
    rows = (
        row(
            RULES,
            {"key": key, "pattern": pattern, "requests": f"{count:,}" if count else NEVER},
            "" if count else NEVER,
        )
        for (key, pattern), count in hits.items()
    )
    return Table(name="rules", columns=RULES, rows=tuple(rows))


def _of_node(node: NodeReport, latency: float | None) -> Row:
    texts = {
        "alias": _name(node),
        "role": node.role,
        "state": _state(node),
        "lag": NOTHING if node.lag is None else f"{node.lag:.1f} s",
        "latency": NOTHING if latency is None else f"{latency * 1000:.1f} ms",
        "position": (node.position or NOTHING) if node.tells_position else "unknown",
        "share": NOTHING if node.share is None else f"{node.share:.1%}".replace(".0%", "%"),
        "error": node.error or NOTHING,
    }
    return row(NODES, texts, DRAINED if node.drained and node.state == State.UP else node.state)


def _name(node: NodeReport) -> str:
    """Return its alias, and what sets it apart where there are several pools or tiers."""
    others = [f"pool {node.pool}"] if node.pool else []
    others += [f"tier {node.tier}"] if node.tier not in {None, 1} else []
    return f"{node.alias} ({', '.join(others)})" if others else node.alias


def _state(node: NodeReport) -> str:
    """Return it, and since when where that is no good news; of a node that is up `since` tells when it was started."""
    state = f"{node.state}, {DRAINED}" if node.drained else node.state
    if node.state == State.UP or node.since is None:
        return state
    return f"{state} since {moment(datetime.fromisoformat(node.since))}"


def moment(at: datetime) -> str:
    """Return it in the site's time zone."""
    return f"{localtime(at):%Y-%m-%d %H:%M:%S %Z}"
