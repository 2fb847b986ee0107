"""How does the throughput of each site go over time? `python -m benchmarks.slowness.picture JSON SVG` draws it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.slowness import HAPROXY, MULTIDB, OURS, RANDOM, WAYS

WIDTH, HEIGHT = 790, 230
LEFT, RIGHT, TOP, BOTTOM = 66, 28, 48, 36
LEGEND = 30
HIGHEST = 1.4
"""The top of the scale, in throughputs of both fast."""
COLOURS = {RANDOM: "#e69f00", MULTIDB: "#cc79a7", HAPROXY: "#0072b2", OURS: "#009e73"}
TITLES = {
    "wire": "One of two replicas answers 0.3 s late",
    "queries": "The site's queries take 0.3 s more on one of two",
}

Told = Mapping[str, Any]


class Panel:
    """The lines of all sites for one way of being slow."""

    def __init__(self, way: str, stories: list[Told], top: float) -> None:
        self._way = way
        self._stories = stories
        self._top = top
        self._seconds = max(len(story["throughput"]) * story["bin_seconds"] for story in stories)

    def lines(self) -> Iterator[str]:
        """Yield the elements of the picture."""
        yield _text(LEFT, self._top + 22, TITLES[self._way], anchor="start", weight="bold")
        yield _upwards(18, self._y(HIGHEST / 2), "throughput, 1: both fast")
        for level in (0, 0.5, 1):
            yield _line(LEFT, self._y(level), WIDTH - RIGHT, self._y(level), "#ddd")
            yield _text(LEFT - 6, self._y(level) + 4, f"{level:g}", anchor="end")
        first = self._stories[0]
        for moment, what in (("slow_at_seconds", "slow"), ("fast_at_seconds", "fast again")):
            x = self._x(first[moment])
            yield _line(x, self._y(HIGHEST), x, self._y(0), "#888", dash="4 3")
            yield _text(x, self._y(HIGHEST) - 5, what)
        for second in range(0, int(self._seconds) + 1, 5):
            yield _text(self._x(second), self._y(0) + 16, f"{second} s")
        for site, colour in COLOURS.items():
            yield from (self._curve(story, colour) for story in self._stories if story["site"] == site)

    def _curve(self, story: Told, colour: str) -> str:
        middles = ((number + 0.5) * story["bin_seconds"] for number in range(len(story["throughput"])))
        shares = (min(found / story["both_fast"], HIGHEST) for found in story["throughput"])
        points = " ".join(f"{self._x(at):.1f},{self._y(share):.1f}" for at, share in zip(middles, shares, strict=True))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>'

    def _x(self, seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / self._seconds

    def _y(self, share: float) -> float:
        return self._top + TOP + (HEIGHT - TOP - BOTTOM) * (1 - share / HIGHEST)


def picture(stories: list[Told]) -> str:
    """Return an SVG of the throughput over time, as a multiple of each site's own with both replicas fast."""
    panels = [
        line
        for number, way in enumerate(WAYS)
        for line in Panel(way, [story for story in stories if story["way"] == way], number * HEIGHT).lines()
    ]
    height = len(WAYS) * HEIGHT + LEGEND
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12"><title>Throughput with one slow replica</title><rect width="100%" height="100%" fill="#fff"/>'
    )
    return "\n".join([head, *panels, *_legend(len(WAYS) * HEIGHT + LEGEND / 2), "</svg>", ""])


def _legend(y: float) -> Iterator[str]:
    for number, (site, colour) in enumerate(reversed(COLOURS.items())):
        x = LEFT + number * 178
        yield _line(x, y, x + 22, y, colour, width=3)
        yield _text(x + 28, y + 4, site, anchor="start")


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, *, dash: str = "none", width: float = 1) -> str:
    ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}" stroke-dasharray="{dash}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "middle", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{text}</text>'


def _upwards(x: float, y: float, text: str) -> str:
    return f'<text transform="translate({x:.1f} {y:.1f}) rotate(-90)" text-anchor="middle">{text}</text>'


def main() -> None:
    """Draw what the benchmark measured."""
    measured, drawn = map(Path, sys.argv[1:])
    drawn.write_text(picture(json.loads(measured.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
