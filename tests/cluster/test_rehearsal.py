"""Is what a dry run predicts what the site then reads from its replicas?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import ROOT, environment
from tests.django_suites.runs import search_path
from tests.foreign_suites.packages import packages_folder
from tests.foreign_suites.suites import Wagtail

POINTS = 0.03


def run(env: dict[str, str], *command: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", *command], env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout


@pytest.fixture
def database(gmf_cluster: LocalCluster) -> Iterator[str]:
    """A database of the site's own, on every node."""
    gmf_cluster.execute("primary", "CREATE DATABASE rehearsed OWNER gmf")
    yield "rehearsed"
    gmf_cluster.execute("primary", "DROP DATABASE rehearsed WITH (FORCE)")


def url(cluster: LocalCluster, alias: str, name: str) -> str:
    access = cluster.databases()[alias]
    return f"postgres://{access['USER']}:{access['PASSWORD']}@{access['HOST']}:{access['PORT']}/{name}"


# To migrate Wagtail alone takes half a minute.
SITES = ["testproject", "wagtail"] if os.environ.get("GMF_SOAK") else ["testproject"]


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """Our demo site, and the one that Wagtail's template makes: its name, and what its processes have to find."""
    if request.param == "testproject":
        return "testproject", {}
    packages = str(packages_folder(Wagtail.package))
    start = [sys.executable, "-m", "wagtail.bin.wagtail", "start", "office", str(tmp_path)]
    made = subprocess.run(
        start, env={**os.environ, "PYTHONPATH": packages}, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return "wagtail", {"PYTHONPATH": search_path(packages, ROOT, tmp_path)}


@pytest.mark.soak
def test_the_share_of_reads_that_a_dry_run_predicts_is_what_replicas_then_serve(
    gmf_cluster: LocalCluster, database: str, site: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    name, found = site
    env = {
        **environment(gmf_cluster),
        **found,
        "DJANGO_SETTINGS_MODULE": f"tests.cluster.{name}_traffic_settings",
        "GMF_TEST_BASE_DIR": str(tmp_path),
        "DATABASE_URL": url(gmf_cluster, "default", database),
        "DATABASE_REPLICA_URLS": ",".join(url(gmf_cluster, alias, database) for alias in ("replica_1", "replica_2")),
    }
    dry = {**env, "GMF_TEST_DRY_RUN": "1"}
    run(dry, "django", "migrate", "--verbosity=0")
    run(dry, "tests.cluster.traffic", f"prepare_{name}")
    gmf_cluster.wait_for_replay()
    one_server = run(dry, "tests.cluster.traffic", name)
    assert set(one_server) == {"default"}
    (predicted,) = run(dry, "django", "gmf_rehearse", "--json")
    served = run(env, "tests.cluster.traffic", name)
    measured = 1 - served["default"] / sum(served.values())
    told = f"{name}: {predicted['share']:.1%} predicted, {measured:.1%} measured, {sum(served.values())} reads"
    # It saw each read, and each one once.
    assert sum(view["reads"] for view in predicted["views"]) == one_server["default"]
    assert 0.3 < measured < 0.95
    assert abs(predicted["share"] - measured) < POINTS, told
    print(told)
