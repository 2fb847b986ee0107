"""What does one slow replica cost a site of ours, and what the sites of others? Real servers, real clients."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import OUTPUT, STRETCH
from benchmarks.contestants import Contestant
from benchmarks.slowness import WAYS, sites
from benchmarks.slowness.stage import Stage
from benchmarks.slowness.story import Lengths, Story, play
from django_gmf_router.testing import LocalCluster

ROUNDS = 1
"""A story takes half a minute."""
SETTINGS: dict[str, Any] = {}
BIN_SECONDS = 0.5


def measure(take: Callable[[list[Contestant]], Any]) -> None:
    """Let each site live through each way of being slow, and hand over what was measured; keep it for the picture."""
    stories = list(_stories(Lengths().stretched(float(os.environ.get(STRETCH, "1")))))
    told = json.dumps([_told(story) for story in stories], indent=1)
    folder = Path(os.environ[OUTPUT])
    folder.mkdir(exist_ok=True)
    (folder / "slow.json").write_text(told, encoding="utf-8")
    take([contestant for story in stories for contestant in _contestants(story)])


def _stories(lengths: Lengths) -> Iterator[Story]:
    if lacking := sites.nothing_serves():
        print(f"* The group slow is left out: {lacking}", file=sys.stderr)
        return
    setups = [setup for setup in sites.setups() if not _is_left_out(setup)]
    with LocalCluster(2) as cluster, Stage(cluster) as stage:
        for way in WAYS:
            # In turns, in another order each time: no site has all the bad minutes of the machine.
            for setup in random.sample(setups, len(setups)):
                print(f"* slow by {way}: {setup.name}", file=sys.stderr, flush=True)
                yield play(setup, stage, way, lengths)


def _is_left_out(setup: sites.Setup) -> bool:
    if setup.missing:
        print(f"* {setup.name} is left out: {setup.missing}", file=sys.stderr)
    return setup.missing is not None


def _contestants(story: Story) -> Iterator[Contestant]:
    idler, busier = story.read_seconds
    measured = {
        "both fast, a request": 1 / story.fast.throughput,
        "one slow, a request": 1 / story.slow.throughput,
        "both fast, p99": story.fast.p99_seconds,
        "one slow, p99": story.slow.p99_seconds,
        "its share is back": story.back_seconds,
        "both slow, the idler": idler,
        "both slow, the busier": busier,
        "failed requests": len(story.failed),
    }
    for what, value in measured.items():
        yield Contestant(name=f"{story.site}, {story.way}, {what}", run=lambda _loops, value=value: value)


def _told(story: Story) -> dict[str, Any]:
    began = story.moments["fast"]
    return {
        "site": story.site,
        "way": story.way,
        "bin_seconds": BIN_SECONDS,
        "slow_at_seconds": story.moments["slow"] - began,
        "fast_at_seconds": story.moments["again"] - began,
        "both_fast": story.fast.throughput,
        "throughput": story.throughputs(BIN_SECONDS),
    }
