"""What does reading one's own writes cost the primary, beside fixed windows?"""

from __future__ import annotations

import os
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from tests.consistency.runs import Run, run, sites

IS_SOAK = bool(os.environ.get("GMF_SOAK"))
OPERATIONS = 3_000 if IS_SOAK else 600
WORKLOAD: dict[str, Any] = {"seed": 1, "reads": 10, "pause_seconds": 1.0, "others": 0, "shares_jars": False}
TWO_OF_THEM = ("gunicorn", "gunicorn")
LEAST_SHARE = 0.95


def measure(cluster: LocalCluster, pin_seconds: float = 0) -> Run:
    """Let people write, follow the redirect and look around: each reads up to ten pages, a second apart at most."""
    router = {"CONSISTENCY": {"LEVEL": "eventual" if pin_seconds else "session"}}
    with sites(cluster, router, servers=TWO_OF_THEM, pin_seconds=pin_seconds) as running:
        return run(cluster, running, operations=OPERATIONS, **WORKLOAD)


def row(name: str, found: Run) -> str:
    """Answer a line of the table."""
    shares = [part / whole for part, whole in (found.history.first_reads(found.replicas), found.reads)]
    return f"{name:<22} {shares[0]:>20.1%} {shares[1]:>20.1%} {len(found.history.violations()):>12}"


@pytest.mark.soak
def test_nearly_all_first_reads_after_a_write_come_from_a_replica(cluster: LocalCluster, figures: list[str]) -> None:
    ours = measure(cluster)
    figures.append(f"{'from a replica:':<22} {'first reads':>20} {'all reads':>20} {'violations':>12}")
    figures.append(row("positions", ours))
    for seconds in (2, 15):
        figures.append(row(f"a window of {seconds} s", measure(cluster, pin_seconds=seconds)))
    assert ours.history.violations() == []
    assert ours.history.failures() == []
    served, first = ours.history.first_reads(ours.replicas)
    assert served >= LEAST_SHARE * first
