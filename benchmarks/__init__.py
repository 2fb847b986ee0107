"""Do the budgets of the design hold? `python -m benchmarks` answers, with ratios between contestants of one run."""

from __future__ import annotations

import signal
import sys

# How a group that takes minutes is told where the files go, and how many times longer than usual to measure.
OUTPUT = "GMF_BENCH_OUTPUT"
STRETCH = "GMF_BENCH_STRETCH"


def end_when_terminated() -> None:
    """Let SIGTERM end this process as an exit does, so that it ends what it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
