"""Does every client read its own writes while the replicas lag at random, and does the checker see it when not?"""

from __future__ import annotations

import os
import random

import pytest

from django_gmf_router.testing import LocalCluster
from tests.consistency.disturbance import Disturbance
from tests.consistency.runs import run, sites

OPERATIONS = 50_000 if os.environ.get("GMF_SOAK") else 5_000
TEETH_OPERATIONS = 1_500


@pytest.fixture
def seed(figures: list[str]) -> int:
    """A new one each time; it is printed, though timing never repeats."""
    chosen = random.SystemRandom().randrange(10**6)
    figures.append(f"seed {chosen}")
    return chosen


@pytest.mark.soak
@pytest.mark.parametrize("store", ["cookie", "header", "cache"])
def test_no_client_ever_reads_less_than_it_wrote(
    cluster: LocalCluster, seed: int, figures: list[str], store: str
) -> None:
    operations = OPERATIONS if store == "cookie" else OPERATIONS // 5
    with sites(cluster, {"CONSISTENCY": {"STORE": store}}) as running, Disturbance(cluster, seed) as disturbance:
        # A cache keeps no two tokens of one client that writes twice at the same moment; see the explanation.
        found = run(cluster, running, operations=operations, seed=seed, shares_jars=store != "cache")
    figures.append(found.report(f"session, {store}, {disturbance.pauses} pauses, {disturbance.crashes} crashes"))
    history = found.history
    assert [str(violation) for violation in history.violations()] == []
    assert history.inventions() == []
    assert history.failures() == []
    assert disturbance.crashes > 0
    # It would be no proof if the replicas had not lagged, or had not served.
    assert history.reasons()["consistency"] > operations / 50
    assert found.reads[0] > operations / 20


def test_the_checker_finds_violations_where_nothing_is_promised(
    cluster: LocalCluster, seed: int, figures: list[str]
) -> None:
    with (
        sites(cluster, {"CONSISTENCY": {"LEVEL": "eventual"}}) as running,
        Disturbance(cluster, seed) as disturbance,
    ):
        found = run(cluster, running, operations=TEETH_OPERATIONS, seed=seed)
    figures.append(found.report(f"eventual, {disturbance.pauses} pauses, {disturbance.crashes} crashes"))
    assert len(found.history.violations()) > TEETH_OPERATIONS / 50
    assert found.history.inventions() == []
