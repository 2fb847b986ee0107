"""Which estimator tells a slow node from a busy one? Prints the tables of docs/explanation/slow-replicas.md."""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.slow_nodes.estimators import ESTIMATORS
from benchmarks.slow_nodes.site import DISTRIBUTIONS, SLOWNESS, Shape, rounds

SITE_RATE = 200.0
"""Reads per second of the whole site."""
PROCESSES = (1, 8, 64)
NODES = (2, 5, 20)
BEGINS_AT = 20.5
LONGEST = 60.0
RUNS = 3
PICTURE = Path(__file__).resolve().parents[2] / "docs/explanation/slow-replicas.svg"
COLORS = ("#c0504d", "#4f81bd")
Row = list[float]


def main() -> int:
    """Print the tables and draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slow_nodes", description=__doc__)
    parser.add_argument("--reads", type=int, default=1500, help="how many reads of a healthy process a figure is from")
    options = parser.parse_args()
    alarms = {name: false_alarms(name, options.reads) for name in DISTRIBUTIONS}
    seconds = {(how, name): seconds_to_see(how, name) for how in SLOWNESS for name in DISTRIBUTIONS}
    print("\n".join([*table("healthy", {(name,): row for name, row in alarms.items()}), "", *table("slow", seconds)]))
    mixed = [statistics.fmean(row) for row in zip(*alarms.values(), strict=True)]
    seen = [
        statistics.median(row) for row in zip(*(seconds[("0.3 s more", name)] for name in DISTRIBUTIONS), strict=True)
    ]
    PICTURE.write_text("\n".join(picture(mixed, seen)) + "\n", encoding="utf-8")
    return 0


def false_alarms(distribution: str, reads: int) -> Row:
    """Return by estimator how often an hour one process takes a healthy node for slow, over all shapes of a site."""
    counts, hours = dict.fromkeys(ESTIMATORS, 0), 0.0
    for nodes in NODES:
        for processes in PROCESSES:
            shape = Shape(draw=DISTRIBUTIONS[distribution], nodes=nodes, rate=SITE_RATE / processes)
            source = random.Random(f"{distribution} {nodes} {processes}")
            judges = {name: make() for name, make in ESTIMATORS.items()}
            slow: dict[str, set[str]] = {name: set() for name in ESTIMATORS}
            for now, took in rounds(shape, source):
                for name, judge in judges.items():
                    found = set(judge(took))
                    counts[name] += len(found - slow[name])
                    slow[name] = found
                if now * shape.rate > reads and now > LONGEST:
                    break
            hours += now / 3600
    return [count / hours for count in counts.values()]


def seconds_to_see(how: str, distribution: str) -> Row:
    """Return by estimator the median seconds until a node that turns slow is seen; LONGEST where it is not."""
    found: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    for nodes in NODES[:2]:
        for processes in PROCESSES[:2]:
            for run in range(RUNS):
                shape = Shape(draw=DISTRIBUTIONS[distribution], nodes=nodes, rate=SITE_RATE / processes)
                source = random.Random(f"{how} {distribution} {nodes} {processes} {run}")
                seen = _seen(shape, source, how)
                for name in ESTIMATORS:
                    found[name].append(seen.get(name, LONGEST))
    return [statistics.median(each) for each in found.values()]


def _seen(shape: Shape, source: random.Random, how: str) -> dict[str, float]:
    seen: dict[str, float] = {}
    judges = {name: make() for name, make in ESTIMATORS.items()}
    for now, took in rounds(shape, source, SLOWNESS[how], since=BEGINS_AT):
        for name, judge in judges.items():
            if "node 0" in judge(took) and now > BEGINS_AT:
                seen.setdefault(name, now - BEGINS_AT)
        if len(seen) == len(ESTIMATORS) or now > BEGINS_AT + LONGEST:
            return seen
    return seen


def table(first: str, figures: dict[tuple[str, ...], Row]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield f"| {first} | {' | '.join(ESTIMATORS)} |"
    yield "|---" * (len(ESTIMATORS) + 1) + "|"
    for names, row in figures.items():
        cells = [f"{value:.1f}" if value < LONGEST or first == "healthy" else "not seen" for value in row]
        yield f"| {', '.join(names)} | {' | '.join(cells)} |"


def picture(alarms: Row, seconds: Row) -> Iterator[str]:
    """Yield the lines of an SVG: a bar for each figure of each estimator."""
    yield '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 300" font-family="sans-serif" font-size="13">'
    yield '<rect width="720" height="300" fill="white"/>'
    for column, (title, row, color) in enumerate(
        zip(("false alarms an hour and process", "seconds to see 0.3 s more"), (alarms, seconds), COLORS, strict=True)
    ):
        left, most = 160 + column * 290, max(row)
        yield f'<text x="{left}" y="25" font-weight="bold">{title}</text>'
        for number, (name, value) in enumerate(zip(ESTIMATORS, row, strict=True)):
            top = 45 + number * 40
            if column == 0:
                yield f'<text x="150" y="{top + 17}" text-anchor="end">{name}</text>'
            yield f'<rect x="{left}" y="{top}" width="{200 * value / most:.1f}" height="24" fill="{color}"/>'
            yield f'<text x="{left + 206 * value / most + 4:.0f}" y="{top + 17}">{value:.1f}</text>'
    yield "</svg>"


if __name__ == "__main__":
    sys.exit(main())
