"""Which way does a read go through the rules? Drawn from the rules themselves, for the page that explains them."""

from __future__ import annotations

import re

from django_gmf_router.routing.rules import RULES
from tests.pictures.svg import Picture, line_height, wrapped
from tests.unit.docs.pages import text_of

PAGE = "docs/explanation/how-a-query-finds-its-database.md"
TRUNK, ASKED, ANSWERED, RIGHT = 28, 52, 338, 468
GAP, PILL = 12, 38
TITLE = "The rules, one after the other"
TOLD = (
    "A read is asked the questions of the rules from the top. The first yes decides: the primary, or a replica. "
    "Where the answer is a replica, three more questions may still send the read to the primary. "
    "The table beside the picture says the same in words."
)


def drawn() -> str:
    """Return the picture."""
    picture = Picture(TITLE, TOLD)
    picture.text(ASKED, 28, "A read. The first yes decides.", size=15, bold=True)
    y = 44.0
    for before, rule in zip((None, *RULES), RULES, strict=False):
        number = "" if before is not None and before.number == rule.number else str(rule.number)
        y = _step(picture, y, number, rule.when, str(rule.role), rule.reason)
    y += 20
    picture.text(ASKED, y + 10, "A replica: which one?", size=15, bold=True)
    y += 26
    for when, reason in _of_the_pool():
        y = _step(picture, y, "-", when, "primary", reason)
    _step(picture, y, "", "no to all: the replica that this unit of work has, or is given now", "replica", "")
    return picture.drawn(y + PILL + GAP)


def _of_the_pool() -> list[tuple[str, str]]:
    """Return what the page says of the ReplicaPool: when the primary serves all the same, and for which reason."""
    row = r"^\| - \| the role is replica, (?:but|and) (.+) \| primary \| `(\w+)` \|$"
    return re.findall(row, text_of(PAGE), re.MULTILINE)


def _step(picture: Picture, top: float, number: str, when: str, role: str, reason: str) -> float:
    """Draw one question and its answer, at last one without a reason; return where the next one begins."""
    lines = wrapped(_plain(when), ANSWERED - ASKED - 34)
    height = max(len(lines) * line_height(), PILL)
    middle = top + height / 2
    picture.way(f"M{TRUNK} {top}v{height + GAP}" if reason else f"M{TRUNK} {top}V{middle}H{ASKED - 6}", "line")
    if number:
        picture.circle(TRUNK, middle, 14, "plain")
        picture.text(TRUNK, middle + 4, number, size=12, anchor="middle", bold=True)
    picture.lines(ASKED, middle - len(lines) * line_height() / 2 + 13, lines)
    picture.way(f"M{ANSWERED - 26} {middle}h24")
    picture.box(ANSWERED, middle - PILL / 2, RIGHT - ANSWERED, PILL, role, radius=8)
    centre = (ANSWERED + RIGHT) / 2
    picture.text(centre, middle + (-3 if reason else 4), role, anchor="middle", bold=True)
    if reason:
        picture.text(centre, middle + 13, reason, size=12, anchor="middle")
    return top + height + GAP


def _plain(when: str) -> str:
    return when.replace("`", "")
