"""How long do the contestants of one group take? A process of its own, in which they take turns.

A shared machine drifts: each round measures every contestant once, in another order, so that a slow second hits all.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from importlib import import_module

import django
from django.conf import settings

from benchmarks import end_when_terminated
from benchmarks.contestants import Contestant

WARM_UP_ROUNDS = 2
CALIBRATIONS = 3


def main() -> None:
    """Print, as JSON, the seconds per call of each contestant in each round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("group")
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="at least, for one value")
    options = parser.parse_args()
    options.warm_up = WARM_UP_ROUNDS
    end_when_terminated()
    group = import_module(f"benchmarks.groups.{options.group}")
    if hasattr(group, "ROUNDS"):
        options.rounds, options.seconds, options.warm_up = group.ROUNDS, 0.0, 0
    settings.configure(**group.SETTINGS)
    django.setup()
    group.measure(lambda contestants: json.dump(_take_turns(contestants, options), sys.stdout))


def _take_turns(contestants: list[Contestant], options: argparse.Namespace) -> dict[str, list[float]]:
    loops = {contestant.name: _calibrate(contestant, options.seconds) for contestant in contestants}
    values: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for _ in range(options.warm_up + options.rounds):
        random.shuffle(contestants)
        for contestant in contestants:
            count = loops[contestant.name]
            values[contestant.name].append(contestant.run(count) / count / contestant.calls)
    return {name: found[options.warm_up :] for name, found in values.items()}


def _calibrate(contestant: Contestant, seconds: float) -> int:
    """Return how many loops take at least `seconds`, in a quiet moment; one where that is 0, without trying."""
    loops = 1
    while seconds and min(contestant.run(loops) for _ in range(CALIBRATIONS)) < seconds:
        loops *= 2
    return loops


if __name__ == "__main__":
    main()
