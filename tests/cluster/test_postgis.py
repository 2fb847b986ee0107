"""Does the engine for PostGIS connect as Django's, with read-only replicas, and read geometries from them?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.postgis import standing
from tests.cluster.sites import DRIVERS, Site, environment, manage, served

ENGINE = "django_gmf_router.backends.postgis"
STOCK = "django.contrib.gis.db.backends.postgis"
SWITZERLAND = {"bbox": "5.9,45.8,10.5,47.9"}
BERN = {"name": "Bern", "x": 7.4474, "y": 46.948}


def settings(cluster: LocalCluster, driver: str = "psycopg", engine: str = ENGINE) -> dict[str, str]:
    # Nothing in OPTIONS: the engine alone makes the sessions what they are.
    router = {"REPLICAS": [node for node in cluster.nodes if node != "primary"]}
    env = environment(cluster, driver, router, engine, OPTIONS={})
    return {**env, "DJANGO_SETTINGS_MODULE": "tests.cluster.postgis_settings"}


@contextmanager
def with_tables(replicas: int) -> Iterator[LocalCluster]:
    """A cluster whose database has the extension, and the tables of the site."""
    with standing(replicas) as running:
        done = manage(settings(running), "migrate", "--verbosity=0")
        assert done.returncode == 0, done.stderr
        running.wait_for_replay()
        yield running


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with with_tables(replicas=2) as running:
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
    written = client.post("/places", params=SWITZERLAND, data=BERN).json()["places"]
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


@pytest.mark.parametrize("driver", DRIVERS)
def test_each_alias_learns_its_reference_systems_once_from_its_own_node(cluster: LocalCluster, driver: str) -> None:
    # A process of its own, that has learned nothing yet; Django's engine, which keeps each alias on its node.
    with (
        served("gunicorn", settings(cluster, driver, STOCK), workers=1) as site,
        httpx.Client(base_url=site.url) as client,
    ):
        client.post("/places", params=SWITZERLAND, data=BERN).raise_for_status()
        cluster.wait_for_replay()
        client.cookies.clear()
        answers = [client.get("/near", params=BERN).raise_for_status().json() for _ in range(20)]
    cluster.execute("primary", "TRUNCATE geography_place")

    ports = {alias: cluster.port(alias) for alias in ("replica_1", "replica_2")}
    learned = [(alias, ports[alias] == answer["places"][0][3]) for answer in answers for alias in answer["lookups"]]
    assert sorted(learned) == [("replica_1", True), ("replica_2", True)]
    assert {tuple(answer["places"][0]) for answer in answers} == {
        ("Bern", 7.4474, 46.948, port) for port in ports.values()
    }


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_alias_reads_geometries_on_the_node_that_it_moves_to(driver: str) -> None:
    with with_tables(replicas=1) as cluster, served("gunicorn", settings(cluster, driver), workers=1) as site:
        with httpx.Client(base_url=site.url, timeout=30) as client:
            client.post("/places", params=SWITZERLAND, data=BERN).raise_for_status()
            cluster.wait_for_replay()
            client.cookies.clear()
            before = client.get("/near", params=BERN).json()
            cluster.kill("replica_1")
            after = client.get("/near", params=BERN).json()
        assert before == {"places": [["Bern", 7.4474, 46.948, cluster.port("replica_1")]], "lookups": ["replica_1"]}
        assert after == {"places": [["Bern", 7.4474, 46.948, cluster.port("primary")]], "lookups": []}


def test_extensions_are_in_their_schema_whichever_app_migrates(cluster: LocalCluster) -> None:
    """The engine's own, PostGIS, and one that a migration of main creates."""
    cluster.execute("primary", "CREATE DATABASE extended OWNER gmf")
    cluster.execute("primary", "ALTER ROLE gmf SUPERUSER")  # only a superuser may create PostGIS
    router = {"SCHEMAS": {"EXTENSIONS": "extensions"}}
    env = environment(cluster, router=router, engine=ENGINE, OPTIONS={}, NAME="extended")
    env["DJANGO_SETTINGS_MODULE"] = "tests.cluster.postgis_settings"
    env["GMF_TEST_MIGRATIONS"] = json.dumps({"library": "tests.books.extended.migrations"})
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
