"""Do the budgets hold? Exit code 0 if all do, else 1; see docs/reference/benchmark.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import OUTPUT, STRETCH, end_when_terminated, peers, report
from benchmarks.budgets import GROUPS, ONCE, ROWS
from benchmarks.figures import Figure, Values, figure

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to measure: processes a group, rounds a process, seconds a value.

    `stretch`: how many times longer than usual, for what takes minutes.
    """

    processes: int
    rounds: int
    seconds: float
    stretch: float


# Short values and many rounds: on a shared machine more of them fall into quiet moments.
FAST = Effort(processes=5, rounds=100, seconds=0.0015, stretch=1)
FULL = Effort(processes=15, rounds=200, seconds=0.003, stretch=3)


def main() -> int:
    """Measure the groups that the command line names."""
    options = _options()
    end_when_terminated()
    started = time.monotonic()
    for name in peers.missing():
        print(f"* {name} is not installed: its rows are left out (pip install {name})", flush=True)
    effort = FULL if options.full else FAST
    measured = _measure_all(options.groups, effort, options.output)
    if missed := _missed(_figures(measured)):
        # Before a budget counts as missed, its group is measured again: a bad minute of the machine is no finding.
        again = _measure_all(sorted({found.row.group for found in missed}), effort, options.output)
        measured = {group: [*values, *again.get(group, [])] for group, values in measured.items()}
    figures = _figures(measured)
    print("\n".join(report.table(figures)))
    path = report.write(options.output, figures, measured)
    missed = _missed(figures)
    print(f"Budgets missed: {len(missed)}. {time.monotonic() - started:.0f} s, figures in {path}")
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"which of {', '.join(GROUPS)}; all by default")
    parser.add_argument("--full", action="store_true", help="measure longer: some forty minutes instead of eleven")
    parser.add_argument("--output", type=Path, default=ROOT / "bench-results", help="the folder for the JSON files")
    options = parser.parse_args()
    options.groups = options.groups or list(GROUPS)
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    return options


def _measure_all(groups: Sequence[str], effort: Effort, output: Path) -> dict[str, list[Values]]:
    measured: dict[str, list[Values]] = {group: [] for group in groups}
    # Process by process over all groups, so that none is measured in a bad minute only.
    for process in range(effort.processes):
        for group in groups if process == 0 else [group for group in groups if group not in ONCE]:
            print(f"* {group}, process {process + 1} of {effort.processes}", file=sys.stderr, flush=True)
            measured[group].append(_measure(group, effort, output))
    return measured


def _measure(group: str, effort: Effort, output: Path) -> Values:
    command = [sys.executable, "-m", "benchmarks.worker", group]
    command += ["--rounds", str(effort.rounds), "--seconds", str(effort.seconds)]
    env = {**os.environ, OUTPUT: str(output.absolute()), STRETCH: str(effort.stretch)}
    # Ctrl-C is ours: the worker is told once, and ends the servers that it started.
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as worker:
        try:
            text, _ = worker.communicate()
        finally:
            worker.terminate()
    if worker.returncode:
        raise SystemExit(f"The group {group} could not be measured: see its message above.")
    values: Values = json.loads(text)
    return values


def _figures(measured: dict[str, list[Values]]) -> list[Figure]:
    found = (figure(row, measured.get(row.group, [])) for row in ROWS)
    return [one for one in found if one is not None]


def _missed(figures: Sequence[Figure]) -> list[Figure]:
    return [found for found in figures if not found.holds]


if __name__ == "__main__":
    sys.exit(main())
