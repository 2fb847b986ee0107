"""Do tipg and pygeoapi reach the right nodes with what gmf_services writes, also when some are dead?"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import free_ports
from django_gmf_router.testing.plugin import refuse
from testproject import postgis
from tests.chaos.proxy import Proxy
from tests.cluster import map_servers
from tests.cluster.sites import environment, manage
from tests.waiting import until

WHERE = """
CREATE VIEW served AS
    SELECT 1 AS id, inet_server_port() AS port, ST_SetSRID(ST_MakePoint(7, 46), 4326)::geometry(Point, 4326) AS geom;
GRANT SELECT ON served TO gmf;
"""
PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def standing() -> Iterator[LocalCluster]:
    """A cluster with a view that tells which node shows it."""
    if lacking := postgis.missing():
        refuse(f"{__name__} needs {lacking}: {postgis.REMEDY}")
    map_servers.environment()
    with LocalCluster(bin_dir=postgis.bin_dir()) as running:
        running.execute("primary", "CREATE EXTENSION postgis", timeout_seconds=60)
        running.execute("primary", WHERE)
        running.wait_for_replay()
        yield running


@pytest.fixture
def cluster(standing: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster, whole at the start of each test."""
    yield standing
    standing.heal()


@pytest.fixture
def directory(tmp_path: Path, cluster: LocalCluster) -> Path:
    """A directory that holds the passfile, which alone knows the password."""
    passfile = tmp_path / "pgpass"
    passfile.touch(mode=0o600)
    passfile.write_text(f"*:*:*:gmf:{cluster.databases()['default']['PASSWORD']}\n")
    return tmp_path


def written(cluster: LocalCluster, *arguments: str, aliases: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """Return what gmf_services writes; `aliases` are entries of DATABASES that differ."""
    env = environment(cluster)
    databases = json.loads(env["GMF_TEST_DATABASES"])
    for alias, different in (aliases or {}).items():
        databases[alias] |= different
    done = manage({**env, "GMF_TEST_DATABASES": json.dumps(databases)}, "gmf_services", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert cluster.databases()["default"]["PASSWORD"] not in done.stdout
    return done.stdout


def port_behind(url: str) -> int | None:
    """Return which node shows the view; None where the server has no answer now."""
    response = httpx.get(url, timeout=30)
    if response.is_server_error:
        return None
    (feature,) = response.raise_for_status().json()["features"]
    return int(feature["properties"]["port"])


@pytest.fixture
def tipg(cluster: LocalCluster, directory: Path) -> Iterator[str]:
    """The items of the view, by tipg."""
    (port,) = free_ports(1)
    (directory / ".env").write_text(written(cluster, "tipg"))
    env = {"PGPASSFILE": str(directory / "pgpass")}
    command = [map_servers.program("uvicorn"), "tipg.main:app", "--port", str(port)]
    with map_servers.serving(command, port, directory, env) as url:
        yield f"{url}/collections/public.served/items?f=geojson"


def test_tipg_reads_from_the_primary_and_goes_on_while_replicas_are_killed(tipg: str, cluster: LocalCluster) -> None:
    assert port_behind(tipg) == cluster.port("primary")
    for replica in ("replica_1", "replica_2"):
        cluster.kill(replica)
        assert port_behind(tipg) == cluster.port("primary")


def test_tipg_finds_the_new_primary_after_an_election(tipg: str, cluster: LocalCluster) -> None:
    assert port_behind(tipg) == cluster.port("primary")
    cluster.kill("primary")
    cluster.promote("replica_1")
    until(lambda: port_behind(tipg) == cluster.port("replica_1"), PATIENCE_SECONDS, "tipg reads from the new primary")


@pytest.fixture
def machines(cluster: LocalCluster) -> Iterator[dict[str, Proxy]]:
    """Each node on an address of its own and all on one port, as on machines of their own; by their aliases."""
    (port,) = free_ports(1)
    nodes = {"default": "primary", "replica_1": "replica_1", "replica_2": "replica_2"}
    with ExitStack() as stack:
        yield {
            alias: stack.enter_context(Proxy(cluster.port(node), host=f"127.0.0.{number}", port=port))
            for number, (alias, node) in enumerate(nodes.items(), 1)
        }


@pytest.fixture
def pygeoapi(cluster: LocalCluster, machines: dict[str, Proxy], directory: Path) -> Iterator[str]:
    """The items of the view, by pygeoapi."""
    (port,) = free_ports(1)
    provider = {"type": "feature", "name": "PostgreSQL", "id_field": "id", "table": "served", "geom_field": "geom"}
    addresses = {alias: {"HOST": proxy.host, "PORT": proxy.port} for alias, proxy in machines.items()}
    provider |= yaml.safe_load(written(cluster, "pygeoapi", aliases=addresses))
    config, openapi = directory / "pygeoapi.yml", directory / "openapi.yml"
    config.write_text(yaml.safe_dump(configuration(port, provider)))
    env = {"PGPASSFILE": str(directory / "pgpass"), "PYGEOAPI_CONFIG": str(config), "PYGEOAPI_OPENAPI": str(openapi)}
    generate = [map_servers.program("pygeoapi"), "openapi", "generate", str(config), "--output-file", str(openapi)]
    done = subprocess.run(generate, env=env, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with map_servers.serving([map_servers.program("pygeoapi"), "serve"], port, directory, env) as url:
        yield f"{url}/collections/served/items?f=json"


def configuration(port: int, provider: dict[str, Any]) -> dict[str, Any]:
    """Return the least that pygeoapi asks for."""
    link = {"type": "text/html", "rel": "canonical", "href": "http://127.0.0.1"}
    text = {"title": "served", "description": "served", "keywords": ["served"]}
    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": port},
            "url": f"http://127.0.0.1:{port}",
            "mimetype": "application/json",
            "encoding": "utf-8",
            "languages": ["en"],
            "limits": {"default_items": 10, "max_items": 10},
            "map": {"url": "http://127.0.0.1/{z}/{x}/{y}.png", "attribution": "none"},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {**text, "keywords_type": "theme", "terms_of_service": "none", "url": "http://127.0.0.1"},
            "license": {"name": "none", "url": "http://127.0.0.1"},
            "provider": {"name": "tests", "url": "http://127.0.0.1"},
            "contact": {"name": "tests"},
        },
        "resources": {
            "served": {
                "type": "collection",
                **text,
                "links": [link],
                "extents": {
                    "spatial": {"bbox": [5, 45, 11, 48], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}
                },
                "providers": [provider],
            }
        },
    }


def test_pygeoapi_reads_from_a_replica_and_from_the_next_node_when_it_is_killed(
    pygeoapi: str, cluster: LocalCluster, machines: dict[str, Proxy]
) -> None:
    replicas = {cluster.port(node): node for node in ("replica_1", "replica_2")}

    def dies(port: int | None) -> None:
        node = replicas[port or 0]
        cluster.kill(node)
        machines[node].refuse()

    first = port_behind(pygeoapi)
    assert first in replicas
    dies(first)
    second = port_behind(pygeoapi)
    assert {first, second} == set(replicas)
    dies(second)
    assert port_behind(pygeoapi) == cluster.port("primary")


def test_pygeoapi_is_not_given_two_ports(cluster: LocalCluster) -> None:
    done = manage(environment(cluster), "gmf_services", "pygeoapi")
    assert done.returncode == 1
    assert "pygeoapi takes one port for all nodes" in done.stderr
