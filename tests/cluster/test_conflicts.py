"""What becomes of a read that is in the way of replay: on the server by its two settings, and in the engine?"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.scripts import script
from tests.cluster.sites import DRIVERS, environment
from tests.waiting import until

ROWS = 10_000
DELAY_SECONDS = 2
DEAD = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'reported'"
HELD_BACK = """
SELECT 1 FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
UNION ALL SELECT 1 FROM pg_replication_slots WHERE xmin IS NOT NULL
"""

READER = """
import json, logging, sys, django
django.setup()
from django.db import Error, connections
from django_gmf_router.postgres.sqlstates import sqlstate

moves = []

class Keep(logging.Handler):
    def emit(self, record):
        if getattr(record, "event", None) == "retry":
            moves.append([record.node, record.cause, record.unit])

logging.getLogger("django_gmf_router").addHandler(Keep())
for line in sys.stdin:
    moves.clear()
    connections["replica_1"].close()
    state = None
    try:
        with connections["replica_1"].cursor() as cursor:
            cursor.execute(line)
    except Error as error:
        state = sqlstate(error)
    print(json.dumps({"state": state, "node": connections["replica_1"].node, "moves": moves}), flush=True)
"""
# Raises a SQLSTATE, in German, on the replicas alone or on each node.
CONFLICT = """
CREATE FUNCTION conflict(state text, everywhere boolean) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF everywhere OR pg_is_in_recovery() THEN
        RAISE EXCEPTION 'storniere Anfrage wegen Konflikt mit der Wiederherstellung' USING ERRCODE = state;
    END IF;
    RETURN 1;
END $$
"""


@contextmanager
def set_up(cluster: LocalCluster, node: str, **settings: object) -> Iterator[None]:
    """Let a node run with these settings until the block ends."""
    for name, value in settings.items():
        cluster.execute(node, f"ALTER SYSTEM SET {name} = '{value}'")
    cluster.execute(node, "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        for name in settings:
            cluster.execute(node, f"ALTER SYSTEM RESET {name}")
        cluster.execute(node, "SELECT pg_reload_conf()")


def report(cluster: LocalCluster) -> tuple[str | None, float]:
    """Read on a replica until the test lets it end; return the SQLSTATE it ended with, and when."""
    with psycopg.connect(cluster.dsn("replica_1"), autocommit=True) as connection:
        try:
            connection.execute("SELECT (SELECT count(*) FROM reported), pg_advisory_lock(7)")
        except psycopg.Error as error:
            return error.sqlstate, time.monotonic()
    return None, time.monotonic()


@pytest.fixture
def reported(gmf_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """A cluster with a table that a report reads."""
    gmf_cluster.execute(
        "primary",
        "CREATE TABLE reported WITH (autovacuum_enabled = off) AS "
        f"SELECT n FROM generate_series(1, {ROWS}) AS n; GRANT SELECT ON reported TO PUBLIC",
    )
    gmf_cluster.wait_for_replay()
    yield gmf_cluster
    gmf_cluster.execute("primary", "DROP TABLE reported")


@pytest.mark.parametrize("feedback", ["off", "on"])
def test_feedback_keeps_dead_rows_for_a_report_that_is_cancelled_without(reported: LocalCluster, feedback: str) -> None:
    settings: dict[str, Any] = {
        "hot_standby_feedback": feedback,
        "max_standby_streaming_delay": f"{DELAY_SECONDS}s",
        "wal_receiver_status_interval": "1s",
    }
    with (
        set_up(reported, "replica_1", **settings),
        psycopg.connect(reported.dsn("replica_1"), autocommit=True) as lock,
        ThreadPoolExecutor(1) as pool,
    ):
        lock.execute("SELECT pg_advisory_lock(7)")
        running = pool.submit(report, reported)
        waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: reported.execute("replica_1", waits), what="the report has read")
        if feedback == "on":
            until(lambda: reported.execute("primary", HELD_BACK), what="the primary was told of it")
        reported.execute("primary", "DELETE FROM reported")
        until(lambda: reported.execute("primary", DEAD) == [(str(ROWS),)], what="the rows are dead")
        vacuumed = time.monotonic()
        reported.execute("primary", "VACUUM reported")
        dead = reported.execute("primary", DEAD)
        if feedback == "on":
            reported.wait_for_replay("replica_1", timeout_seconds=60)
            lock.execute("SELECT pg_advisory_unlock(7)")
        state, ended = running.result(timeout=60)
        # The figures of docs/explanation/what-happens-when.md.
        print(f"feedback {feedback}: {state} after {ended - vacuumed:.1f} s, dead rows {dead[0][0]}")
        if feedback == "off":
            assert (state, dead) == ("40001", [("0",)])
            assert ended - vacuumed > DELAY_SECONDS / 2
            return
        assert (state, dead) == (None, [(str(ROWS),)])

        def are_removed() -> bool:
            reported.execute("primary", "VACUUM reported")
            return reported.execute("primary", DEAD) == [("0",)]

        until(are_removed, what="the dead rows are removed once the report has ended")


@pytest.fixture
def cluster(migrated: LocalCluster, gmf_cluster: LocalCluster) -> Iterator[LocalCluster]:
    gmf_cluster.execute("primary", CONFLICT)
    gmf_cluster.wait_for_replay()
    yield gmf_cluster
    # It is the superuser's: a backup of the database that holds it cannot be restored by the site's role.
    gmf_cluster.execute("primary", "DROP FUNCTION conflict(text, boolean)")


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_a_read_in_the_way_of_replay_goes_to_one_other_replica_and_then_to_the_primary(
    cluster: LocalCluster, driver: str, state: str
) -> None:
    twice = [[node, "conflict", ""] for node in ("replica_1", "replica_2")]
    with script(READER, environment(cluster, driver)) as ask:
        assert json.loads(ask(f"SELECT conflict('{state}', false)")) == {
            "state": None,
            "node": "default",
            "moves": twice,
        }
        # Not endlessly.
        assert json.loads(ask(f"SELECT conflict('{state}', true)")) == {
            "state": state,
            "node": "default",
            "moves": twice,
        }


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_time_out_of_the_sites_own_never_moves(cluster: LocalCluster, driver: str) -> None:
    options = {"options": "-c statement_timeout=200ms"}
    with script(READER, environment(cluster, driver, OPTIONS=options)) as ask:
        for sql in ("SELECT pg_sleep(5)", "SELECT conflict('57014', false)"):
            assert json.loads(ask(sql)) == {"state": "57014", "node": "replica_1", "moves": []}
