"""Does the demo's map stand on PostGIS: its own tests, its commands, its tiles, its edits?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.postgis import environment_of_the_map, standing_for_the_map
from tests.cluster.sites import ROOT

SECONDS = 300


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster whose role may make databases with PostGIS."""
    with standing_for_the_map() as running:
        running.execute("primary", "ALTER ROLE gmf SUPERUSER")
        yield running


def manage(cluster: LocalCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment_of_the_map(cluster),
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
