"""Does the demo's map stand on PostGIS: its own tests, its commands, its tiles, its edits?"""

from __future__ import annotations

import json
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


PARCEL = """
from django.contrib.gis.geos import Polygon
from testproject.parcels.models import Parcel

Parcel.objects.create(number=4711, geom=Polygon.from_bbox((7.44, 46.94, 7.45, 46.95)))
"""
TILE = """
import json
from django.test import Client, override_settings
from testproject.tiles.decoding import rows

with override_settings(ROOT_URLCONF="tests.cluster.tiles_urls"):
    tile = Client(SERVER_NAME="localhost").get("/tiles/parcels/15/17061/11532.mvt")
numbers = [row["number"] for row in rows(tile.content, "parcels")]
print(json.dumps([numbers, tile["X-GMF-Database"], tile["Cache-Control"]]))
"""


def test_the_tiles_that_the_page_shows_come_from_a_replica_and_are_kept_by_nobody(cluster: LocalCluster) -> None:
    for command in (["migrate", "--verbosity=0"], ["shell", "--verbosity=0", "-c", PARCEL]):
        done = manage(cluster, *command)
        assert done.returncode == 0, done.stderr
    cluster.wait_for_replay()

    done = manage(cluster, "shell", "--verbosity=0", "-c", TILE)

    assert done.returncode == 0, done.stderr
    numbers, served_by, cache_control = json.loads(done.stdout.splitlines()[-1])
    assert numbers == [4711]
    assert served_by in {"replica_1; reason=read_method", "replica_2; reason=read_method"}
    assert "no-store" in cache_control
