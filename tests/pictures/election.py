"""Who gets what while a new primary is elected? Drawn from what the page on high availability measured."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.pictures.svg import WIDTH, Picture, line_height, wrapped
from tests.unit.docs.pages import section

PAGE = "docs/how-to/high-availability.md"
HEADING = "## How long does an election take?"
LEFT, RIGHT, FIRST, LAST = 14, WIDTH - 14, -4, 26
"""The scale: from `FIRST` to `LAST` seconds after the primary was killed."""
BAR, LANE = 26, 66
LEGEND = [("primary", "the primary"), ("replica", "a replica"), ("refused", "nobody"), ("unsure", "the election")]
TITLE = "An election, second by second"
TOLD = (
    "The primary is killed at second 0. Between {soonest:g} and {latest:g} seconds later another server is the "
    "primary. Pages are served by the replicas all the time. Writes are answered 503, and 200 again after {again:.1f} "
    "seconds at most. Who had just written reads from a replica that has it, or gets 503; after the election from the "
    "new primary."
)


class Election(NamedTuple):
    """What was measured, in seconds, and of how many requests."""

    soonest: float
    latest: float
    write_after: float
    gets: str
    failed: str
    slowest: str
    refused: str
    taken: str
    lost: str

    @property
    def again(self) -> float:
        """When a write is taken again at the latest."""
        return self.latest + self.write_after


def measured() -> Election:
    """Return what the page tells of the site behind HAProxy: the first column of its figures."""
    text = section(PAGE, HEADING)

    def found(pattern: str) -> tuple[str, ...]:
        match = re.search(rf"^\| {pattern}", text, re.MULTILINE)
        assert match is not None, f"{PAGE} has no row {pattern}"
        return match.groups()

    (soonest, latest), (after,) = (
        found(r"a new leader after \| ([\d.]+) to ([\d.]+) s"),
        found(r"a write [^|]*\| ([\d.]+) s"),
    )
    return Election(
        float(soonest),
        float(latest),
        float(after),
        *found(r"`GET`s, of them failed \| ([\d,]+), (\d+) \|"),
        *found(r"the slowest `GET` \| ([\d.]+ s) \|"),
        *found(r"writes answered 503 \| ([\d,]+) \|"),
        *found(r"writes answered 200, of them lost \| ([\d,]+), (\d+) \|"),
    )


def drawn() -> str:
    """Return the picture."""
    told = measured()
    seconds = {"soonest": told.soonest, "latest": told.latest, "again": told.again}
    picture = Picture(TITLE, TOLD.format(**seconds))
    lanes: list[tuple[str, list[tuple[float, float, str, str]]]] = [
        ("the cluster", [
            (FIRST, 0, "primary", "primary"),
            (0, told.soonest, "refused", "no primary: Patroni waits for its ttl"),
            (told.soonest, told.latest, "unsure", ""),
            (told.latest, LAST, "primary", "a new one"),
        ]),
        (f"pages: {told.failed} of {told.gets} failed, the slowest took {told.slowest}", [
            (FIRST, LAST, "replica", "200, from the replicas"),
        ]),
        (f"writes: {told.lost} of the {told.taken} that were answered 200 are lost", [
            (FIRST, 0, "primary", "200"),
            (0, told.soonest, "refused", "503, Retry-After: 2"),
            (told.soonest, told.again, "unsure", ""),
            (told.again, LAST, "primary", "200"),
        ]),
        ("pages of who wrote in the last MAX_AGE", [
            (FIRST, 0, "replica", "200"),
            (0, told.soonest, "replica", "200, from a replica that has it; else 503"),
            (told.soonest, told.again, "unsure", ""),
            (told.again, LAST, "primary", "200"),
        ]),
    ]  # fmt: skip
    bottom = 76 + len(lanes) * LANE
    for second in range(0, LAST, 5):
        picture.way(f"M{_x(second)} 66V{bottom}", "scale")
        picture.text(_x(second), bottom + 18, f"{second} s", anchor="middle", kind="quiet")
    picture.text(LEFT, 28, TITLE, size=15, bold=True)
    for number, (name, spans) in enumerate(lanes):
        _lane(picture, 76 + number * LANE, name, spans)
    picture.way(f"M{_x(0)} 46V{bottom}", "line dashed")
    picture.text(_x(0) + 6, 60, "the primary is killed", kind="quiet")
    for number, (kind, what) in enumerate(LEGEND):
        picture.box(LEFT + number * 106, bottom + 32, 14, 14, kind, radius=2)
        picture.text(LEFT + number * 106 + 20, bottom + 44, what, size=12)
    note = (
        f"Another server is the primary after {told.soonest:g} to {told.latest:g} s. "
        f"It takes writes {told.write_after:g} s later at most."
    )
    lines = wrapped(note, RIGHT - LEFT)
    picture.lines(LEFT, bottom + 70, lines)
    return picture.drawn(bottom + 70 + len(lines) * line_height())


def _lane(picture: Picture, top: float, name: str, spans: list[tuple[float, float, str, str]]) -> None:
    picture.text(_x(0) + 6, top + 15, name)
    for begin, end, kind, what in spans:
        picture.box(_x(begin), top + 22, _x(end) - _x(begin), BAR, kind, radius=2)
        if what:
            picture.text((_x(begin) + _x(end)) / 2, top + 22 + BAR / 2 + 4, what, size=12, anchor="middle")


def _x(second: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * (second - FIRST) / (LAST - FIRST), 1)
