"""How long does the slowest request take while a node fails? Drawn from the table of figures of the page."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.pictures.svg import WIDTH, Picture, line_height, wrapped
from tests.unit.docs.pages import section, table

PAGE = "docs/explanation/what-happens-when.md"
HEADING = "## Figures"
NAMES, LEFT, RIGHT, MOST = 188, 200, WIDTH - 66, 3.2
TOP, BAR, GAP = 82, 12, 9
TITLE = "The slowest request while a node fails"
TOLD = "For each fault the slowest request in seconds, and the slowest one of the same load before the fault: {}."


class Fault(NamedTuple):
    """A row of the table; the times as it has them, "0.18 s"."""

    name: str
    requests: int
    failed: int
    slowest: str
    without: str


def measured() -> list[Fault]:
    """Return the rows of the table."""
    rows = table(PAGE, HEADING)
    return [
        Fault(name, int(requests.replace(",", "")), int(failed), slowest, without)
        for name, requests, failed, slowest, without, _ in rows
    ]


def bound() -> float:
    """Return how long a node that hangs may hold a request before it is known to be down: INTERVAL and TIMEOUT."""
    found = re.search(r"`INTERVAL` (\d+), `TIMEOUT` (\d+)", section(PAGE, HEADING))
    assert found is not None, f"{PAGE} does not say with which settings it was measured"
    return float(sum(map(int, found.groups())))


def drawn() -> str:
    """Return the picture."""
    faults = measured()
    told = "; ".join(f"{fault.name} {fault.slowest}, before {fault.without}" for fault in faults)
    picture = Picture(TITLE, TOLD.format(told))
    picture.text(14, 28, TITLE, size=15, bold=True)
    requests, failed = sum(fault.requests for fault in faults), sum(fault.failed for fault in faults)
    picture.text(14, 48, f"{requests:,} requests, of which {failed} failed", kind="quiet")
    labels = [wrapped(fault.name.replace("`", ""), NAMES - 14) for fault in faults]
    heights = [len(lines) * line_height() + GAP for lines in labels]
    bottom = TOP + sum(heights)
    for second in range(int(MOST) + 1):
        picture.way(f"M{_x(second)} {TOP - 6}V{bottom}", "scale")
        picture.text(_x(second), TOP - 12, f"{second} s", anchor="middle", kind="quiet")
    picture.way(f"M{_x(bound())} {TOP - 6}V{bottom}", "line dashed")
    y = float(TOP)
    for fault, lines, height in zip(faults, labels, heights, strict=True):
        middle = y + height / 2
        picture.lines(NAMES, middle - len(lines) * line_height() / 2 + 13, lines, anchor="end")
        picture.bar(_x(0), middle - BAR / 2, _x(_seconds(fault.slowest)) - _x(0), BAR, "strong")
        picture.way(f"M{_x(_seconds(fault.without))} {middle - BAR / 2 - 3}v{BAR + 6}", "line")
        picture.text(WIDTH - 14, middle + 4, fault.slowest, size=12, anchor="end")
        y += height
    picture.bar(14, bottom + 14, 22, BAR, "strong")
    picture.text(44, bottom + 25, "with the fault")
    picture.way(f"M{25} {bottom + 35}v18", "line")
    picture.text(44, bottom + 48, "the same load before it")
    picture.way(f"M236 {bottom + 14}v14", "line dashed")
    picture.text(246, bottom + 25, "INTERVAL + TIMEOUT: a node")
    picture.text(246, bottom + 42, "that hangs is known to be down")
    return picture.drawn(bottom + 62)


def _seconds(text: str) -> float:
    return float(text.removesuffix(" s"))


def _x(seconds: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * seconds / MOST, 1)
