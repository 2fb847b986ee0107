"""Does the demo's map stand on PostGIS: its own tests, its commands, its tiles, its edits?"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.plugin import refuse
from testproject import postgis
from tests.cluster.sites import ROOT

SECONDS = 300


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster whose role may make databases with PostGIS."""
    if lacking := postgis.missing_for_the_map():
        refuse(f"{__name__} needs {lacking}")
    with LocalCluster(replicas=2, bin_dir=postgis.bin_dir()) as running:
        running.execute("primary", "CREATE EXTENSION postgis", timeout_seconds=60)
        running.execute("primary", "ALTER ROLE gmf SUPERUSER")
        yield running


def environment(cluster: LocalCluster, **more: str) -> dict[str, str]:
    """Return the environment of the demo site on the cluster."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "DJANGO", "GMF"))}
    primary, *replicas = [cluster.url(node).replace("postgres://", "postgis://") for node in cluster.nodes]
    return {**kept, "DATABASE_URL": primary, "DATABASE_REPLICA_URLS": ",".join(replicas), **more}


def manage(cluster: LocalCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(cluster),
        text=True,
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )


def test_the_tests_of_the_parcels_pass_on_postgis(cluster: LocalCluster) -> None:
    done = manage(cluster, "test", "testproject.parcels", "testproject.served", "--noinput")

    assert done.returncode == 0, done.stderr
    assert "skipped" not in done.stderr


def test_the_parcels_have_their_migrations(cluster: LocalCluster) -> None:
    done = manage(cluster, "makemigrations", "--check", "--dry-run")

    assert done.returncode == 0, done.stdout + done.stderr
