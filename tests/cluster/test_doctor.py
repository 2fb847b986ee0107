"""Does gmf_doctor find what is set up wrong, and say what helps?"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import DRIVERS, ROOT, environment, manage
from tests.waiting import until

TIMEOUT = 1.0
AT_ONCE = 4
# It looks as often as the site does, at most.
ROUTER: dict[str, Any] = {"HEALTH": {"INTERVAL": 0.05, "TIMEOUT": TIMEOUT}}
NODES = ("default", "replica_1", "replica_2")
Databases = dict[str, dict[str, Any]]
Plant = Callable[[Databases], object]


def env_of(cluster: LocalCluster, plant: Plant = dict, driver: str = "psycopg", **router: Any) -> dict[str, str]:
    """Return the environment of a site that is set up right but for what is planted."""
    env = environment(cluster, driver, {**ROUTER, **router})
    databases = json.loads(env["GMF_TEST_DATABASES"])
    for alias in ("replica_1", "replica_2"):
        databases[alias]["TEST"] = {"MIRROR": "default"}
    plant(databases)
    return {**env, "GMF_TEST_DATABASES": json.dumps(databases)}


def doctor(env: dict[str, str]) -> list[dict[str, str]]:
    """Return what it finds; its exit code says whether something is wrong."""
    done = manage(env, "gmf_doctor", "--json")
    assert done.stderr == ""
    found: list[dict[str, str]] = json.loads(done.stdout)
    assert done.returncode == any(finding["verdict"] == "wrong" for finding in found)
    return found


def wrong(env: dict[str, str]) -> list[str]:
    """Return what is wrong or risky, each as `about id text remedy`."""
    found = [finding for finding in doctor(env) if finding["verdict"] != "ok"]
    return [f"{each['about']} {each['id'][-4:]} {each['text']} {each['remedy']}" for each in found]


@pytest.fixture
def cluster(gmf_cluster: LocalCluster, migrated: LocalCluster) -> LocalCluster:
    """The cluster, whole and with the tables of the site."""
    return gmf_cluster


@pytest.fixture(scope="module")
def another() -> Iterator[LocalCluster]:
    """Another cluster than that of these tests, with the same database."""
    with LocalCluster(replicas=0) as cluster:
        yield cluster


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_site_that_is_set_up_right_has_a_line_for_each_question_and_ends_with_0(
    cluster: LocalCluster, driver: str
) -> None:
    done = manage(env_of(cluster, driver=driver), "gmf_doctor")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert {line.partition(" ")[0] for line in lines} == {"OK"}
    assert "OK     replica_1: follows default, 0.0 s behind" in lines
    assert "OK     default: is a primary" in lines
    for node in NODES:
        assert len([line for line in lines if line.startswith(f"OK     {node}: ")]) == 8


# What the settings alone say wrong


def changed(alias: str, **entries: Any) -> Plant:
    return lambda databases: databases[alias].update(entries)


def sites_of(cluster: LocalCluster, another: LocalCluster) -> dict[str, dict[str, str]]:
    """Return the environments of sites that have one or two mistakes in their settings."""
    primary = {"HOST": "localhost", "PORT": str(cluster.port("primary"))}  # under the same name check finds it
    replica = {"HOST": "localhost", "PORT": str(cluster.port("replica_2"))}
    path = {"OPTIONS": {"options": "-c default_transaction_read_only=on -c search_path=pg_catalog"}}
    redis = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    by_cache = {"CONSISTENCY": {"STORE": "cache"}}

    def both(first: Plant, second: Plant) -> Plant:
        return lambda databases: (first(databases), second(databases))

    password, host = changed("replica_1", PASSWORD="hunter2"), changed("replica_2", HOST="nowhere.invalid")
    foreign = changed("replica_1", **another.databases()["default"])
    return {
        "no connection": env_of(cluster, both(password, host), "psycopg"),
        "no connection, psycopg2": env_of(cluster, both(changed("replica_1", NAME="nowhere"), host), "psycopg2"),
        "no primary": env_of(cluster, changed("default", PASSWORD="hunter2"), "psycopg2"),
        "other contents": env_of(cluster, both(foreign, changed("replica_2", NAME="postgres")), "psycopg"),
        "other role": env_of(cluster, both(changed("replica_1", **primary), changed("default", **replica)), "psycopg2"),
        "other schemas": env_of(cluster, changed("replica_1", **path), "psycopg", **by_cache),
        "no schemas": {
            **env_of(cluster, driver="psycopg2", SCHEMAS={"MAIN": "main"}, **by_cache),
            "GMF_TEST_CACHES": json.dumps({"default": redis}),
            "DJANGO_SETTINGS_MODULE": "tests.cluster.doctor_settings",
        },
    }


# The site, and what is found.
MISTAKES = {
    "wrong password": (
        "no connection",
        r"replica_1 W021 gives no connection: .*password authentication failed .*\. Correct its USER and PASSWORD\.",
    ),
    "wrong host": (
        "no connection",
        r"replica_2 W021 gives no connection: .*nowhere\.invalid.*\. Correct its HOST, or mend the name server\.",
    ),
    "wrong host, psycopg2": (
        "no connection, psycopg2",
        r"replica_2 W021 gives no connection: .*nowhere\.invalid.*\. Correct its HOST, or mend the name server\.",
    ),
    "no such database": (
        "no connection, psycopg2",
        r'replica_1 W021 gives no connection: .*database "nowhere" does not exist\. Correct its NAME, or create the .*',
    ),
    "wrong password of the primary": (
        "no primary",
        r"default W021 gives no connection: .*password authentication failed .*\. Correct its USER and PASSWORD\.",
    ),
    "another cluster": (
        "other contents",
        r"replica_1 E022 is no replica of 'default'\. It belongs to another cluster than .* Correct its HOST, PORT .*",
    ),
    "another database": (
        "other contents",
        r"replica_2 E022 is no replica of 'default'\. It serves the database 'postgres', its primary 'gmf'\. .*",
    ),
    "a primary as a replica": (
        "other role",
        r"replica_1 E025 is named as a replica of 'default', and is a primary: it gets no reads\. Name the HOST .*",
    ),
    "a replica as a primary": (
        "other role",
        r"default E025 is named as a primary, and is in recovery: .* Name the HOST and PORT of the primary, .*",
    ),
    "search_path": (
        "other schemas",
        r"replica_1 W025 looks for tables in pg_catalog, 'default' in public\. Give both the same search_path .*",
    ),
    "a store for each process": (
        "other schemas",
        r"settings W012 CONSISTENCY\['STORE'\] is 'cache', and the default cache is LocMemCache: .* Use a cache .*",
    ),
    "schemas": (
        "no schemas",
        r"\w+ E019 The schema '(main|static)' is missing from the database 'gmf' of .* Run gmf_migrate, .*",
    ),
    "a store that is away": (
        "no schemas",
        r"settings W028 The cache that keeps the tokens fails: .*refused.* Correct CACHES\['default'\], or start .*",
    ),
    "a key for each process": (
        "no schemas",
        r"settings W029 SECRET_KEY is another one in each process: .* Keep one key, in a file or in the environment\.",
    ),
}


@pytest.fixture(scope="module")
def found_in(migrated: LocalCluster, another: LocalCluster) -> dict[str, list[str]]:
    """What is found in each of these sites; most of the time is waited for."""
    sites = sites_of(migrated, another)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(sites, pool.map(wrong, sites.values()), strict=True))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_settings_is_found(found_in: dict[str, list[str]], mistake: str) -> None:
    site, pattern = MISTAKES[mistake]
    about = {each.partition(" ")[0] for each in found_in[site] if re.fullmatch(pattern, each)}
    # Each node has the schemas to look in.
    assert about == (set(NODES) if mistake == "schemas" else {pattern.partition(" ")[0]})


@pytest.mark.parametrize("site", sorted({site for site, _ in MISTAKES.values()}))
def test_what_is_right_is_not_found_wrong(found_in: dict[str, list[str]], site: str) -> None:
    patterns = [pattern for of, pattern in MISTAKES.values() if of == site]
    assert [found for found in found_in[site] if not any(re.fullmatch(one, found) for one in patterns)] == []
    assert not any("hunter2" in found for found in found_in[site])


# What the servers do


@contextmanager
def cut_off(cluster: LocalCluster, node: str) -> Iterator[None]:
    """Let a replica receive nothing."""
    ((conninfo,),) = cluster.execute(node, "SELECT quote_literal(current_setting('primary_conninfo'))")
    set_it = "ALTER SYSTEM SET primary_conninfo = {}; SELECT pg_reload_conf()"
    cluster.execute(node, set_it.format("''"))
    try:
        yield
    finally:
        cluster.execute(node, set_it.format(conninfo))


def test_a_replica_that_is_connected_to_no_primary_receives_nothing(cluster: LocalCluster) -> None:
    with cut_off(cluster, "replica_1"):
        until(lambda: cluster.execute("replica_1", "SELECT FROM pg_stat_wal_receiver") == [])
        # As good as a replica that follows: nothing was written since.
        (found,) = wrong(env_of(cluster))
    assert found.startswith("replica_1 W022 receives nothing: it is connected to no primary. See its log")


@contextmanager
def revoked(cluster: LocalCluster, right: str, of: str) -> Iterator[None]:
    cluster.execute("primary", f"REVOKE {right} FROM {of}")
    cluster.wait_for_replay()
    try:
        yield
    finally:
        cluster.execute("primary", f"GRANT {right} TO {of}")
        cluster.wait_for_replay()


def test_a_right_that_the_user_lacks_is_named_with_what_grants_it(cluster: LocalCluster) -> None:
    env = env_of(cluster, driver="psycopg2")
    with (
        revoked(cluster, "EXECUTE ON FUNCTION pg_last_wal_replay_lsn", "PUBLIC"),
        revoked(cluster, "SELECT ON library_author", "gmf"),
    ):
        found = wrong(env)
    grant = 'On the primary, as a superuser: GRANT EXECUTE ON FUNCTION pg_last_wal_replay_lsn TO "gmf"'
    for node in NODES:
        assert f"{node} W023 refuses what the health monitor asks: pg_last_wal_replay_lsn. {grant}" in found
        grant_select = 'On the primary: GRANT SELECT ON "library_author" TO "gmf"'
        assert f"{node} W024 does not let the user 'gmf' read library_author. {grant_select}" in found
    assert len(found) == 2 * len(NODES)


@pytest.fixture(scope="module")
def bare(migrated: LocalCluster) -> Iterator[str]:
    """A database without tables."""
    migrated.execute("primary", "CREATE DATABASE bare OWNER gmf")
    migrated.wait_for_replay()
    yield "bare"
    migrated.execute("primary", "DROP DATABASE bare WITH (FORCE)")


def test_the_table_of_what_operators_say_that_was_not_migrated_is_found(cluster: LocalCluster, bare: str) -> None:
    def plant(databases: Databases) -> None:
        for entry in databases.values():
            entry["NAME"] = bare

    (found,) = wrong(env_of(cluster, plant))
    assert found.startswith("default W018 has no table gmf_router_control: gmf_control steers nothing there. Run ")
    # Whoever migrates for the first time is told nothing.
    checked = manage(env_of(cluster, plant), "check", "--database=default", "--fail-level=WARNING")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_replica_whose_replay_is_paused_is_found_and_the_migrations_that_it_lacks(cluster: LocalCluster) -> None:
    cluster.pause("replica_1")
    cluster.execute("primary", "INSERT INTO django_migrations VALUES (9999, 'books', 'later', now())")
    try:
        paused, lacking = wrong(env_of(cluster))
    finally:
        cluster.execute("primary", "DELETE FROM django_migrations WHERE id = 9999")
    assert paused == "replica_1 W022 has its replay paused. There, as a superuser: SELECT pg_wal_replay_resume()"
    assert lacking.startswith("replica_1 W027 has not replayed the migrations of 'default': ")


CLOCKS = """
import time
import django
django.setup()
from django_gmf_router.doctor.examination import examined
from django_gmf_router.doctor.node_questions import findings_of_node
from django_gmf_router.settings import configuration
for node, primary in examined(configuration.clusters(), wall=lambda: time.time() + 60):
    print(*(finding for finding in findings_of_node(node, primary) if "clock" in finding.text))
"""


def test_a_clock_that_is_wrong_is_found(cluster: LocalCluster) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOCKS], env=env_of(cluster), cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("WRONG  replica_1: has a clock 60.0 s behind this machine's, more than 5 s. Let all ")


def test_servers_that_are_gone_or_hang_cost_a_time_out(cluster: LocalCluster) -> None:
    cluster.kill("replica_2")
    checked = manage(env_of(cluster), "check", "--database=replica_2", "--database=default", "--fail-level=WARNING")
    assert checked.returncode == 1
    assert "(gmf_router.W021) DATABASES['replica_2'] gives no connection: " in checked.stderr
    assert "replica_1" not in checked.stderr
    cluster.freeze("replica_1")
    began = time.monotonic()
    found = wrong(env_of(cluster))
    assert time.monotonic() - began < 2 * TIMEOUT + 4
    assert [each[:15] for each in found] == ["replica_1 W021 ", "replica_2 W021 "]
    assert found[0].endswith("It did not answer within 1 s. Find out what hangs: the server, or a firewall before it.")
    assert found[1].endswith("Connection refused. Correct its HOST and PORT, or start the server.")


def test_each_server_of_an_alias_that_is_several_is_asked(cluster: LocalCluster) -> None:
    ports = [cluster.port(node) for node in cluster.nodes]

    def plant(databases: Databases) -> None:
        databases["replica_1"].update(HOST=",".join(["127.0.0.1"] * 3), PORT=",".join(map(str, ports)))

    cluster.kill("replica_2")
    replicas = {"replica_1": {"BALANCED": True}}
    found = doctor(env_of(cluster, plant, REPLICAS=replicas))
    primary, first, second = (f"replica_1@127.0.0.1:{port}" for port in ports)
    said = {(each["about"], each["text"]) for each in found}
    assert (primary, "is a primary now: it gets no reads by this alias") in said
    assert (first, "follows default, 0.0 s behind") in said
    assert [each["about"] for each in found if each["verdict"] == "wrong"] == [second]


def test_of_several_clusters_each_is_asked_and_a_stock_engine_is_only_risky(cluster: LocalCluster, bare: str) -> None:
    def plant(databases: Databases) -> None:
        city = {"ENGINE": "django.db.backends.postgresql", "NAME": bare, "TEST": {"MIRROR": "city"}}
        databases["city"] = {**databases["default"], **city, "TEST": {}}
        databases["city_replica"] = {**databases["replica_1"], **city}

    clusters = {
        "default": {"REPLICAS": ["replica_1", "replica_2"], **ROUTER},
        "city": {"REPLICAS": ["city_replica"], "APPS": ["library"], **ROUTER},
    }
    found = doctor({**env_of(cluster, plant), "GMF_TEST_CLUSTERS": json.dumps(clusters)})
    assert {each["about"] for each in found} == {"settings", *NODES, "city", "city_replica"}
    assert {each["id"] for each in found if each["verdict"] == "risky"} == {"gmf_router.W002", "gmf_router.W004"}
    assert {each["id"] for each in found if each["verdict"] == "wrong"} == {"gmf_router.W018"}
    assert "follows city, 0.0 s behind" in [each["text"] for each in found if each["about"] == "city_replica"]
