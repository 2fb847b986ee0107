"""Does the engine for PostGIS connect as Django's, with read-only replicas, and read geometries from them?"""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.plugin import refuse
from tests.cluster import postgis
from tests.cluster.sites import DRIVERS, Site, environment, manage, served

ENGINE = "django_gmf_router.backends.postgis"
SWITZERLAND = {"bbox": "5.9,45.8,10.5,47.9"}


def settings(cluster: LocalCluster, driver: str = "psycopg") -> dict[str, str]:
    # Nothing in OPTIONS: the engine alone makes the sessions what they are.
    env = environment(cluster, driver, engine=ENGINE, OPTIONS={})
    return {**env, "DJANGO_SETTINGS_MODULE": "tests.cluster.postgis_settings"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster whose database has the extension, and the tables of the site."""
    if lacking := postgis.missing():
        refuse(f"{__name__} needs {lacking}: {postgis.REMEDY}")
    with LocalCluster(bin_dir=postgis.bin_dir()) as running:
        running.execute("primary", "CREATE EXTENSION postgis", timeout_seconds=60)
        done = manage(settings(running), "migrate", "--verbosity=0")
        assert done.returncode == 0, done.stderr
        running.wait_for_replay()
        yield running


@pytest.fixture(scope="module", params=DRIVERS)
def site(request: pytest.FixtureRequest, cluster: LocalCluster) -> Iterator[Site]:
    """The site on each driver."""
    with served("gunicorn", settings(cluster, request.param), workers=1) as running:
        yield running


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=30) as opened:
        yield opened


def test_sessions_are_djangos_with_a_time_out_and_read_only_on_replicas(
    client: httpx.Client, cluster: LocalCluster
) -> None:
    assert client.get("/sessions").json() == {
        "default": [cluster.port("primary"), "off", 2],
        "replica_1": [cluster.port("replica_1"), "on", 2],
        "replica_2": [cluster.port("replica_2"), "on", 2],
    }


def test_a_point_is_written_to_the_primary_and_read_from_a_replica(client: httpx.Client, cluster: LocalCluster) -> None:
    bern = {"name": "Bern", "x": 7.4474, "y": 46.948}
    written = client.post("/places", params=SWITZERLAND, data=bern).json()["places"]
    cluster.wait_for_replay()
    client.cookies.clear()  # its token would keep it on the primary until the new process knows the replicas
    read = [client.get("/places", params=SWITZERLAND).json()["places"] for _ in range(20)]
    elsewhere = client.get("/places", params={"bbox": "0,0,1,1"}).json()["places"]
    cluster.execute("primary", "TRUNCATE geography_place")

    assert written == [["Bern", 7.4474, 46.948, cluster.port("primary")]]
    assert {tuple(place) for (place,) in read} == {
        ("Bern", 7.4474, 46.948, cluster.port(replica)) for replica in ("replica_1", "replica_2")
    }
    assert elsewhere == []


def test_extensions_are_in_their_schema_whichever_app_migrates(cluster: LocalCluster) -> None:
    """The engine's own, PostGIS, and one that a migration of main creates."""
    cluster.execute("primary", "CREATE DATABASE extended OWNER gmf")
    cluster.execute("primary", "ALTER ROLE gmf SUPERUSER")  # only a superuser may create PostGIS
    router = {"SCHEMAS": {"EXTENSIONS": "extensions"}}
    env = environment(cluster, router=router, engine=ENGINE, OPTIONS={}, NAME="extended")
    env["DJANGO_SETTINGS_MODULE"] = "tests.cluster.postgis_settings"
    env["GMF_TEST_MIGRATIONS"] = json.dumps({"library": "tests.library.extended.migrations"})
    try:
        done = manage(env, "gmf_migrate", "--verbosity=0")
        assert done.returncode == 0, done.stderr
        query = "SELECT extname || ' ' || extnamespace::regnamespace FROM pg_extension ORDER BY 1"
        found = {row[0] for row in cluster.execute("primary", query, database="extended")}
        assert {"postgis extensions", "hstore extensions"} <= found
        tables = cluster.execute(
            "primary", "SELECT tablename FROM pg_tables WHERE schemaname = 'main'", database="extended"
        )
        assert {"geography_place", "after_the_extension"} <= {row[0] for row in tables}
    finally:
        cluster.execute("primary", "ALTER ROLE gmf NOSUPERUSER")
        cluster.execute("primary", "DROP DATABASE extended WITH (FORCE)")
