"""Does a server that answers count as up, whatever it refuses to tell, and does nobody read the past there?"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.scripts import script
from tests.cluster.sites import DRIVERS, environment, manage, served
from tests.consistency.runs import Run, run
from tests.waiting import until

WINDOW, INTERVAL, MAX_LAG = 1.0, 0.2, 1.5
DELAY_SECONDS = 0.2  # so far behind are the replicas: without it most would be in time by chance
IS_SOAK = bool(os.environ.get("GMF_SOAK"))
OPERATIONS = 400 if IS_SOAK else 100
ROUTER = {"HEALTH": {"INTERVAL": INTERVAL, "MAX_LAG": MAX_LAG}, "CONSISTENCY": {"WINDOW": WINDOW}}
SERVER_OF = {"psycopg": "gunicorn", "psycopg2": "uvicorn"}
BY_TIME = "default: positions are unknown, so clients that wrote read from the primary for CONSISTENCY['WINDOW']."

# The function, who is known to tell no position then, and whether the lag of the replicas is known.
FUNCTIONS = [
    ("pg_is_in_recovery()", ["default", "replica_1", "replica_2"], False),
    ("pg_last_wal_replay_lsn()", ["replica_1", "replica_2"], False),
    ("pg_last_wal_receive_lsn()", [], True),
    ("pg_current_wal_insert_lsn()", ["default"], False),
    ("pg_current_wal_flush_lsn()", [], False),
    ("pg_walfile_name(pg_lsn)", ["default"], True),
    ("pg_postmaster_start_time()", [], True),
    ("pg_last_xact_replay_timestamp()", [], True),
    ("pg_control_system()", [], True),
]
# In a soak each of them on both drivers, else they take turns.
CASES = [
    pytest.param(driver, *one, id=f"{one[0]}-{driver}")
    for number, one in enumerate(FUNCTIONS)
    for driver in (DRIVERS if IS_SOAK else DRIVERS[number % 2 :][:1])
]

# As the Aurora User Guide and the errors of its servers have it: the writer is the row MASTER_SESSION_ID, positions are
# not to be had.
AURORA = """
CREATE TABLE aurora_lag (port text, lag float8);
INSERT INTO aurora_lag VALUES ('{replica_1}', 20), ('{replica_2}', 30);
GRANT SELECT ON aurora_lag TO PUBLIC;
CREATE FUNCTION aurora_version() RETURNS text LANGUAGE sql AS $$ SELECT '17.7.2' $$;
CREATE FUNCTION aurora_db_instance_identifier() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('port') $$;
CREATE FUNCTION aurora_replica_status(OUT server_id text, OUT session_id text, OUT replica_lag_in_msec float8)
    RETURNS SETOF record LANGUAGE sql AS $$
    SELECT '{primary}', 'MASTER_SESSION_ID', NULL::float8
    UNION ALL SELECT port, 'a-uuid', lag FROM aurora_lag $$;
"""
NOT_AURORA = """
DROP FUNCTION IF EXISTS aurora_version(), aurora_db_instance_identifier(), aurora_replica_status();
DROP TABLE IF EXISTS aurora_lag;
"""
REFUSED_BY_AURORA = (
    "pg_last_wal_replay_lsn()",
    "pg_last_wal_receive_lsn()",
    "pg_last_xact_replay_timestamp()",
    "pg_current_wal_insert_lsn()",
    "pg_current_wal_flush_lsn()",
    "pg_walfile_name(pg_lsn)",
    "pg_control_system()",
)


@contextmanager
def refusing(cluster: LocalCluster, *functions: str) -> Iterator[None]:
    """Refuse these functions to all but the superuser, on every node."""
    for function in functions:
        cluster.execute("primary", f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
    cluster.wait_for_replay()
    try:
        yield
    finally:
        for function in functions:
            cluster.execute("primary", f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC")
        cluster.wait_for_replay()


@contextmanager
def aurora(cluster: LocalCluster) -> Iterator[None]:
    """Make of every node one that looks like Aurora."""
    ports = {node: cluster.port(node) for node in cluster.nodes}
    try:
        cluster.execute("primary", AURORA.format(**ports))
        with refusing(cluster, *REFUSED_BY_AURORA):
            yield
    finally:
        cluster.execute("primary", NOT_AURORA)


@contextmanager
def delayed(cluster: LocalCluster) -> Iterator[None]:
    """Let every replica lag a little, always."""
    try:
        for node in cluster.nodes[1:]:
            delay = f"ALTER SYSTEM SET recovery_min_apply_delay = '{DELAY_SECONDS}s'"
            cluster.execute(node, f"{delay}; SELECT pg_reload_conf()")
        yield
    finally:
        for node in cluster.nodes[1:]:
            cluster.execute(node, "ALTER SYSTEM RESET recovery_min_apply_delay; SELECT pg_reload_conf()")


def status(env: dict[str, str]) -> dict[str, Any]:
    """Return the nodes by their aliases; all are up."""
    done = manage(env, "gmf_status", "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return {node["alias"]: node for node in json.loads(done.stdout)}


def worked(cluster: LocalCluster, env: dict[str, str], driver: str, **plan: Any) -> Run:
    """Let clients write and read registers."""
    env = {**env, "DJANGO_SETTINGS_MODULE": "tests.consistency.settings"}
    with delayed(cluster), served(SERVER_OF[driver], env) as site:
        found = run(cluster, [site], operations=OPERATIONS, seed=1, **plan)
        assert_strangers_read_replicas(f"{site.url}/register/1")
    assert found.history.failures() == []
    assert [str(violation) for violation in found.history.violations()] == []
    assert found.history.inventions() == []
    return found


def assert_strangers_read_replicas(url: str) -> None:
    """A client that never wrote reads from a replica, with each request."""
    for _ in range(40):
        assert httpx.get(url, timeout=30).json()["reason"] == "read_method"


def env_of(cluster: LocalCluster, driver: str) -> dict[str, str]:
    return environment(cluster, driver, ROUTER, CONN_MAX_AGE=0 if driver == "psycopg2" else 60)


@pytest.mark.soak
@pytest.mark.parametrize(("driver", "function", "without_position", "knows_lag"), CASES)
def test_a_function_that_is_refused_costs_what_it_tells_alone(
    gmf_cluster: LocalCluster,
    migrated: LocalCluster,
    driver: str,
    function: str,
    without_position: list[str],
    knows_lag: bool,
) -> None:
    env = env_of(gmf_cluster, driver)
    with refusing(gmf_cluster, function):
        nodes = status(env)
        assert [node["state"] for node in nodes.values()] == ["up"] * 3
        assert {node["dialect"] for node in nodes.values()} == {"PostgreSQL"}
        assert [alias for alias, node in nodes.items() if not node["tells_position"]] == without_position
        assert [nodes[alias]["lag"] is not None for alias in ("replica_1", "replica_2")] == [knows_lag] * 2
        name = function.partition("(")[0]
        # Nobody asks for what was received.
        refused = name != "pg_last_wal_receive_lsn"
        assert [name in node["refused"] for node in nodes.values()] == [refused] * 3
        if not (IS_SOAK or without_position):
            # Tokens are as ever.
            with served(SERVER_OF[driver], env) as site:
                assert_strangers_read_replicas(f"{site.url}/one-read")
            return
        # A pause that is longer than the window at times: then a client that wrote goes on to a replica. Where the lag
        # is known, what lags by MAX_LAG is in service.
        window = max(WINDOW, MAX_LAG + 2 * INTERVAL) if knows_lag else WINDOW
        found = worked(gmf_cluster, env, driver, pause_seconds=2 * window if without_position else 3 * DELAY_SECONDS)
    assert found.reads[0] > OPERATIONS / 20
    assert (found.history.reasons()["consistency"] > 0) or not without_position


@pytest.mark.soak
@pytest.mark.parametrize("driver", DRIVERS if IS_SOAK else DRIVERS[:1])
def test_a_server_like_aurora_tells_its_lag_and_no_position(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str
) -> None:
    env = env_of(gmf_cluster, driver)
    with aurora(gmf_cluster):
        nodes = status(env)
        assert [(node["state"], node["dialect"]) for node in nodes.values()] == [("up", "Aurora")] * 3
        assert [(node["lag"], node["position"]) for node in nodes.values()] == [
            (None, None),
            (0.02, None),
            (0.03, None),
        ]
        shown = manage(env, "gmf_status")
        assert shown.stdout.splitlines()[-1] == BY_TIME
        assert [shown.stdout.split().count(word) for word in ("unknown", "Aurora")] == [3, 3]
        found = worked(gmf_cluster, env, driver, pause_seconds=2 * (MAX_LAG + 2 * INTERVAL))
        assert found.reads[0] > OPERATIONS / 20
        assert found.history.reasons()["consistency"] > 0
        gmf_cluster.execute(
            "primary", f"UPDATE aurora_lag SET lag = 5000 WHERE port = '{gmf_cluster.port('replica_1')}'"
        )
        gmf_cluster.wait_for_replay()
        done = manage(env, "gmf_status", "--json")
        states = [node["state"] for node in json.loads(done.stdout)]
        assert (done.returncode, states) == (1, ["up", "lagging", "up"])


@pytest.mark.soak
@pytest.mark.parametrize("driver", DRIVERS if IS_SOAK else DRIVERS[1:])
def test_a_server_that_tells_nothing_is_up_and_as_configured(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str
) -> None:
    env = env_of(gmf_cluster, driver)
    with refusing(gmf_cluster, *(function for function, *_ in FUNCTIONS)):
        nodes = status(env)
        assert [(node["state"], node["dialect"]) for node in nodes.values()] == [("up", "other")] * 3
        assert [(node["lag"], node["position"]) for node in nodes.values()] == [(None, None)] * 3
        found = worked(gmf_cluster, env, driver, pause_seconds=2 * WINDOW)
    assert found.reads[0] > OPERATIONS / 20


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_client_whose_position_no_replica_tells_stays_on_the_primary_for_the_window_and_no_longer(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str
) -> None:
    env = env_of(gmf_cluster, driver)
    with (
        refusing(gmf_cluster, "pg_last_wal_replay_lsn()"),
        served(SERVER_OF[driver], env, workers=1) as site,
        httpx.Client(base_url=site.url, timeout=30) as client,
    ):
        until(lambda: client.get("/one-read").json()["role"] == "replica")
        client.post("/save")
        written = time.monotonic()
        assert client.get("/one-read").json()["reason"] == "consistency"
        until(lambda: client.get("/one-read").json()["role"] == "replica", timeout_seconds=20 * WINDOW)
        assert time.monotonic() - written > WINDOW


PROBE = """
import sys, json, logging, django
django.setup()
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.settings.values import parse
lines = []
class Keep(logging.Handler):
    def emit(self, record):
        lines.append([record.event, record.alias, record.getMessage()])
logging.getLogger("django_gmf_router").addHandler(Keep())
monitor = Monitor(parse("default", {"REPLICAS": ["replica_1", "replica_2"], "HEALTH": {"INTERVAL": 0.1}}))
for line in sys.stdin:
    monitor.ensure()
    monitor.wait(3, 30)
    found = {alias: health.dialect and health.dialect.refused for alias, health in monitor.snapshot.items()}
    print(json.dumps([found, lines]), flush=True)
monitor.stop()
"""


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_refused_is_logged_once_for_each_node_and_what_follows_once(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str
) -> None:
    with refusing(gmf_cluster, "pg_last_wal_replay_lsn()"), script(PROBE, env_of(gmf_cluster, driver)) as ask:
        refused, lines = json.loads(ask("look"))
        assert refused == {alias: ["pg_last_wal_replay_lsn"] for alias in ("default", "replica_1", "replica_2")}
        assert sorted(alias for event, alias, _ in lines if event == "facts_refused") == sorted(refused)
        assert [event for event, *_ in lines].count("by_time") == 1
        (text,) = (text for event, alias, text in lines if (event, alias) == ("facts_refused", "replica_1"))
        assert text.startswith("The replica replica_1 refuses pg_last_wal_replay_lsn: ")
