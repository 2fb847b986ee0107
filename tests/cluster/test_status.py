"""Does gmf_status show real servers as they are?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import DRIVERS, ROOT, environment, manage
from tests.waiting import until

MAX_LAG = 2.0
ROUTER = {"HEALTH": {"TIMEOUT": 1.0, "MAX_LAG": MAX_LAG}}


def status(
    cluster: LocalCluster, driver: str = "psycopg", env: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    done = manage(env or environment(cluster, driver, router=ROUTER), "gmf_status", "--json")
    assert done.stderr == ""
    return done.returncode, {node["alias"]: node for node in json.loads(done.stdout)}


@pytest.mark.parametrize("driver", DRIVERS)
def test_nodes_that_are_up_are_at_the_same_position_without_lag(gmf_cluster: LocalCluster, driver: str) -> None:
    gmf_cluster.execute("primary", "CREATE TABLE gone (id int); DROP TABLE gone; SELECT pg_switch_wal()")
    gmf_cluster.wait_for_replay()
    code, nodes = status(gmf_cluster, driver)
    assert code == 0
    assert [(node["state"], node["error"]) for node in nodes.values()] == [("up", None)] * 3
    assert [node["share"] for node in nodes.values()] == [None, 0.5, 0.5]
    assert nodes["default"]["lag"] is None
    assert max(nodes["replica_1"]["lag"], nodes["replica_2"]["lag"]) < 0.3
    high, _, low = nodes["replica_1"]["position"].partition("/")
    assert int(high, 16) * 2**32 + int(low, 16) > 0
    (shown,) = gmf_cluster.execute("primary", f"SELECT '{nodes['replica_1']['position']}'::pg_lsn::text")
    assert shown == (nodes["replica_1"]["position"],)


def test_a_node_that_is_up_is_so_since_its_server_started(gmf_cluster: LocalCluster) -> None:
    before = datetime.now(timezone.utc).replace(microsecond=0)
    gmf_cluster.restart("replica_1")
    _, nodes = status(gmf_cluster)
    assert datetime.fromisoformat(nodes["replica_1"]["since"]) >= before
    assert datetime.fromisoformat(nodes["replica_2"]["since"]) <= datetime.now(timezone.utc)


def test_a_replica_that_lagged_before_the_command_began_is_lagging(gmf_cluster: LocalCluster) -> None:
    gmf_cluster.pause("replica_1")
    gmf_cluster.execute("primary", "CREATE TABLE behind (id int); DROP TABLE behind")
    code, nodes = until(lambda: found if (found := status(gmf_cluster))[1]["replica_1"]["lag"] > MAX_LAG else None)
    assert code == 1
    assert nodes["replica_1"]["state"] == "lagging"
    assert (nodes["replica_1"]["share"], nodes["replica_2"]["share"]) == (0.0, 1.0)
    assert nodes["replica_2"]["state"] == "up"


def test_servers_that_are_frozen_or_killed_are_down_and_cost_a_time_out(gmf_cluster: LocalCluster) -> None:
    gmf_cluster.freeze("replica_1")
    gmf_cluster.kill("replica_2")
    code, nodes = status(gmf_cluster)
    assert code == 1
    assert [node["state"] for node in nodes.values()] == ["up", "down", "down"]
    assert nodes["replica_1"]["error"] == "It did not answer within 1 s."
    assert nodes["replica_2"]["error"].endswith("Connection refused")
    gmf_cluster.kill("primary")
    assert status(gmf_cluster)[0] == 2


READS = """
import django
django.setup()
from django.db import connections
from django_gmf_router import current_decision, use_replica
from tests.books.models import Author
for _ in range(5):
    with use_replica():
        Author.objects.count()
        print(connections[current_decision().alias].node)
"""


@pytest.fixture(scope="module")
def another() -> Iterator[LocalCluster]:
    """Another cluster than that of these tests, with the same database."""
    with LocalCluster(replicas=1) as cluster:
        yield cluster


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("stranger", "reason"),
    [
        ("another cluster", "It belongs to another cluster than its primary: system identifier "),
        ("another database", "It serves the database 'postgres', its primary 'gmf'."),
    ],
)
def test_a_replica_of_something_else_is_down_and_never_read(
    gmf_cluster: LocalCluster, migrated: LocalCluster, another: LocalCluster, driver: str, stranger: str, reason: str
) -> None:
    env = environment(gmf_cluster, driver, router=ROUTER)
    databases = json.loads(env["GMF_TEST_DATABASES"])
    if stranger == "another cluster":
        theirs = json.loads(environment(another, driver)["GMF_TEST_DATABASES"])["replica_1"]
        databases["replica_1"] = theirs
    else:
        databases["replica_1"]["NAME"] = "postgres"
    env["GMF_TEST_DATABASES"] = json.dumps(databases)
    code, nodes = status(gmf_cluster, env=env)
    assert (code, [node["state"] for node in nodes.values()]) == (1, ["up", "down", "up"])
    assert nodes["replica_1"]["error"].startswith(reason)
    checked = manage(env, "check", "--database=replica_1", "--database=replica_2")
    assert checked.returncode == 1
    assert f"(gmf_router.E022) DATABASES['replica_1'] is no replica of 'default'. {reason}" in checked.stderr
    assert "DATABASES['replica_2'] is no replica" not in checked.stderr
    # Each process has its own first read, and half of them would go there.
    for _ in range(4):
        done = subprocess.run(
            [sys.executable, "-c", READS], env=env, cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert set(done.stdout.split()) == {"replica_2"}


def test_a_frozen_primary_is_no_primary(gmf_cluster: LocalCluster) -> None:
    gmf_cluster.freeze("primary")
    code, nodes = status(gmf_cluster)
    assert code == 2
    assert [nodes[alias]["lag"] for alias in ("replica_1", "replica_2")] == [None, None]
