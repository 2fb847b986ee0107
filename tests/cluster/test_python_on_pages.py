"""Do the examples that need servers do what their pages say: behind replicas that lag, and without a primary?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster, LocalClusterError
from tests.cluster.scripts import script
from tests.cluster.sites import ROOT, environment, manage
from tests.unit.docs.running import example, run_example
from tests.waiting import until

NODES = ("replica_1", "replica_2")
SITE = "import django; django.setup(); from tests.cluster import pasted; pasted.serve()"
ROUTER = {"HEALTH": {"INTERVAL": 0.2, "MAX_LAG": 60.0}}
ROWS = ("library_book WHERE title IN ('pasted', '')", "library_author WHERE name = 'bern'", "library_tile")
Call = Callable[[str], Any]


@pytest.fixture
def tables(migrated: LocalCluster, gmf_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster, with a counter at 5, a table of invitations and a tenant's schema."""
    for statement in (
        # Other tests leave rows there under numbers of their own, which the sequence would give once more.
        "TRUNCATE library_tile; INSERT INTO library_tile (name) VALUES ('5')",
        "CREATE TABLE invitation (key text PRIMARY KEY, used boolean)",
        "GRANT SELECT, INSERT ON invitation TO PUBLIC",
        'CREATE SCHEMA tenant CREATE TABLE library_tag (LIKE public."library_tag")',
        "INSERT INTO tenant.\"library_tag\" VALUES (1, 'of the tenant')",
        "GRANT USAGE ON SCHEMA tenant TO PUBLIC",
        "GRANT SELECT ON ALL TABLES IN SCHEMA tenant TO PUBLIC",
    ):
        gmf_cluster.execute("primary", statement)
    gmf_cluster.wait_for_replay()
    yield gmf_cluster
    gmf_cluster.heal()
    gmf_cluster.execute("primary", "DROP SCHEMA tenant CASCADE; DROP TABLE invitation")
    for rows in ROWS:
        gmf_cluster.execute("primary", f"DELETE FROM {rows}")
    gmf_cluster.wait_for_replay()


@pytest.fixture
def call(tables: LocalCluster) -> Iterator[Call]:
    """Call a function of the pages in a request of a site whose nodes are all up."""
    with script(SITE, environment(tables, router=ROUTER)) as ask:

        def call(line: str) -> Any:
            return json.loads(ask(line))

        until(lambda: call("GET ready"))
        yield call


@pytest.fixture
def lagging(tables: LocalCluster, call: Call) -> LocalCluster:
    """The cluster, whose replicas replay nothing more."""
    for node in NODES:
        tables.pause(node)
    return tables


def steer(cluster: LocalCluster, *words: str) -> None:
    done = manage(environment(cluster), "gmf_control", *words)
    assert done.returncode == 0, done.stderr


def catch_up(cluster: LocalCluster) -> None:
    for node in NODES:
        cluster.resume(node)
    cluster.wait_for_replay()


def is_on_a_replica(found: bool, alias: str) -> bool:
    """Return whether a row was found, and on a replica."""
    return found and alias in NODES


def test_a_cache_that_the_primary_fills_has_what_was_published(lagging: LocalCluster, call: Call) -> None:
    call("POST publish")
    call("POST forget")
    assert call("GET titles")[0] is False
    assert call("GET cached titles") is True


def test_a_cache_that_a_replica_fills_has_what_the_token_says(lagging: LocalCluster, call: Call) -> None:
    call("POST publish")
    assert call("GET titles by token") == [True, "default"]
    catch_up(lagging)
    assert is_on_a_replica(*call("GET titles by token"))


def test_a_schema_that_is_set_in_a_transaction_holds_for_what_is_read_there(call: Call) -> None:
    assert call("GET tags of the tenant") == ["of the tenant"]


def test_what_is_counted_under_a_lock_is_counted_where_it_is_held(lagging: LocalCluster, call: Call) -> None:
    call("POST count on")
    assert call("GET number") == 5
    assert call("GET next number") == 7


@pytest.mark.parametrize(("send", "receive"), [("save", "work"), ("place", "send invoice")])
def test_a_worker_that_is_given_a_token_finds_the_row(
    lagging: LocalCluster, call: Call, send: str, receive: str
) -> None:
    call(f"POST {send}")
    assert call(f"GET {receive}") == [True, "default"]
    call(f"POST {send}")
    catch_up(lagging)
    assert is_on_a_replica(*call(f"GET {receive}"))


def test_a_link_that_was_mailed_a_moment_ago_is_found(lagging: LocalCluster, call: Call) -> None:
    call("POST invite")
    assert call("GET invited") is False
    assert call("GET by link") == "default"
    catch_up(lagging)
    assert call("GET by link") in NODES


def test_a_job_that_reads_after_now_sees_all_that_is_committed(lagging: LocalCluster, call: Call) -> None:
    call("POST publish")
    assert call("GET nightly") == [True, "default"]
    catch_up(lagging)
    assert is_on_a_replica(*call("GET nightly"))


def test_an_article_is_shown_without_its_hit_in_maintenance_and_while_no_primary_answers(
    tables: LocalCluster, call: Call
) -> None:
    hits = "SELECT count(*) FROM library_author WHERE name = 'bern'"
    assert call("GET article")[0] == "bern"
    assert tables.execute("primary", hits) == [("1",)]
    try:
        steer(tables, "maintenance", "on", "--reason", "We move.")
        until(lambda: call("POST forbidden") == "MaintenanceMode")
        slug, alias = call("GET article")
        assert slug == "bern"
        assert alias in NODES
        assert tables.execute("primary", hits) == [("1",)]
    finally:
        steer(tables, "maintenance", "off")
    tables.kill("primary")
    slug, alias = call("GET article")
    assert slug == "bern"
    assert alias in NODES


def test_what_a_warm_up_opened_is_closed(call: Call) -> None:
    assert call("GET close all") == [True, False]


# The cluster itself, and an engine of one's own


test_a_town_reaches_the_replicas = run_example("docs/how-to/local-cluster.md", "def test_a_town_reaches_the_replicas")[
    "test_a_town_reaches_the_replicas"
]


def test_a_cluster_of_a_block_has_the_entries_that_the_page_names_and_is_gone_after_it() -> None:
    names = run_example("docs/how-to/local-cluster.md", "with LocalCluster(replicas=2)")
    assert {*names["DATABASES"]} == {"default", *NODES}
    assert "default_transaction_read_only=on" in names["DATABASES"]["replica_1"]["OPTIONS"]["options"]
    with pytest.raises(LocalClusterError, match="the cluster is down"):
        names["cluster"].execute("primary", "SELECT 1")


def test_an_engine_of_three_lines_reads_from_another_node_when_its_own_is_gone(
    tables: LocalCluster, tmp_path: Path
) -> None:
    engine = tmp_path / "mysite" / "engine"
    engine.mkdir(parents=True)
    (engine / "__init__.py").touch()
    (engine / "base.py").write_text(example("docs/reference/python.md", "class DatabaseWrapper").text)
    env = environment(tables, engine="mysite.engine")
    env["PYTHONPATH"] = f"{ROOT}{os.pathsep}{tmp_path}"
    tables.kill("replica_1")
    code = (
        "import django; django.setup()\n"
        "from django.db import connections\n"
        "cursor = connections['replica_1'].cursor()\n"
        "cursor.execute('SELECT inet_server_port()')\n"
        "print(cursor.fetchone()[0])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, str(tables.port("replica_2"))), done.stderr
