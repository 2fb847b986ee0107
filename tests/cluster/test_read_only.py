"""Can nothing be written through a replica's alias, and does a refusal explain itself?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from django_gmf_router.postgres.libpq import READ_ONLY
from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import DRIVERS, Site, environment, manage, served

ENGINES = ("django_gmf_router.backends.postgresql", "django.db.backends.postgresql")


@pytest.fixture(scope="module", params=[(engine, driver) for engine in ENGINES for driver in DRIVERS], ids="-".join)
def bare(request: pytest.FixtureRequest, migrated: LocalCluster) -> Iterator[tuple[Site, str]]:
    """The site with nothing in the OPTIONS of its aliases."""
    engine, driver = request.param
    with served("gunicorn", environment(migrated, driver, engine=engine, OPTIONS={}), workers=1) as running:
        yield running, engine


def get(site: Site, path: str) -> Any:
    return httpx.get(f"{site.url}{path}", timeout=30).json()


def test_sessions_of_replicas_are_read_only_and_the_primarys_is_not(
    bare: tuple[Site, str], migrated: LocalCluster
) -> None:
    site, engine = bare
    timeout = 2 if engine == ENGINES[0] else None
    assert get(site, "/sessions") == {
        "default": [migrated.port("primary"), "off", timeout],
        "replica_1": [migrated.port("replica_1"), "on", timeout],
        "replica_2": [migrated.port("replica_2"), "on", timeout],
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_options_that_say_otherwise_do_not_make_a_replicas_session_writable(
    engine: str, migrated: LocalCluster
) -> None:
    off = {"options": "-c default_transaction_read_only=off"}
    code = (
        "from django.db import connections\n"
        "for alias in ('replica_1', 'default'):\n"
        "    print(connections[alias].cursor().execute('SHOW transaction_read_only').fetchone()[0])"
    )
    done = manage(environment(migrated, engine=engine, OPTIONS=off), "shell", "--no-imports", "-c", code)
    assert (done.stdout.split(), done.stderr) == (["on", "off"], "")


SETTINGS = """
from django.db import connections
for alias in ("default", "replica_1"):
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_setting('search_path'), current_setting('statement_timeout')")
        print(*cursor.fetchone(), sep="|", end="|")
        cursor.execute("SHOW default_transaction_read_only")
        print(*cursor.fetchone())
"""
OPTIONS = r"-c search_path=geo,\ public -c statement_timeout=7s"


@pytest.mark.parametrize("by_env", [False, True], ids=["by hand", "replica_of"])
@pytest.mark.parametrize("schemas", [False, True], ids=["", "SCHEMAS"])
@pytest.mark.parametrize("how", ["PGOPTIONS", "service"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_options_of_the_environment_and_of_a_service_file_hold_on_replicas_too(
    migrated: LocalCluster, tmp_path: Path, driver: str, how: str, schemas: bool, by_env: bool
) -> None:
    router = {"SCHEMAS": {"MAIN": "main", "STATIC": "static"}} if schemas else {}
    options = "-c statement_timeout=7s" if schemas else OPTIONS
    env = environment(migrated, driver, router, OPTIONS={"options": READ_ONLY} if by_env else {})
    databases = json.loads(env["GMF_TEST_DATABASES"])
    if by_env:
        del databases["default"]["OPTIONS"]
    if how == "PGOPTIONS":
        env["PGOPTIONS"] = options
    else:
        services = tmp_path / "pg_service.conf"
        services.write_text("\n".join(f"{section(entry)}options={options}\n" for entry in databases.items()))
        for alias, entry in databases.items():
            kept = {key: entry[key] for key in ("ENGINE", "OPTIONS") if key in entry}
            databases[alias] = {**kept, "OPTIONS": {**kept.get("OPTIONS", {}), "service": alias}}
        env["PGSERVICEFILE"] = str(services)
    env["GMF_TEST_DATABASES"] = json.dumps(databases)
    done = manage(env, "shell", "--no-imports", "-c", SETTINGS)
    path = "main,static,public" if schemas else "geo,public"
    assert done.stdout.replace('"', "").replace(", ", ",").splitlines() == [f"{path}|7s|off", f"{path}|7s|on"], (
        done.stderr
    )


def section(entry: tuple[str, dict[str, Any]]) -> str:
    """Return the section of an alias in a service file."""
    alias, settings = entry
    names = {"HOST": "host", "PORT": "port", "NAME": "dbname", "USER": "user", "PASSWORD": "password"}
    lines = (f"{names[key]}={settings[key]}" for key in names)
    return "\n".join([f"[{alias}]", *lines, ""])


def test_a_refused_write_names_the_request_and_the_line_to_add(bare: tuple[Site, str]) -> None:
    refused = get(bare[0], "/refused")
    assert (refused["class"], refused["sqlstate"]) == ("InternalError", "25006")
    (note,) = refused["notes"]
    assert note.startswith("GET /refused: The alias 'replica_")
    assert "is a replica, and INSERT library.Author writes." in note
    assert note.endswith(""".setdefault("master", []).append(r"(GET|HEAD) /refused$")""")


def test_a_write_to_a_replica_by_its_name_is_refused(bare: tuple[Site, str]) -> None:
    refused = get(bare[0], "/refused/replica_2")
    assert refused["sqlstate"] == "25006"
    assert "The alias 'replica_2' is a replica, and INSERT library.Author writes." in refused["notes"][0]
    assert get(bare[0], "/refused/default") == {"class": None}


def test_a_promoted_replica_still_takes_no_write_through_its_alias(gmf_cluster: LocalCluster, migrated: Any) -> None:
    with served("gunicorn", environment(gmf_cluster), workers=1) as site:
        assert get(site, "/refused/replica_1")["sqlstate"] == "25006"
        gmf_cluster.promote("replica_1")
        assert gmf_cluster.execute("replica_1", "SELECT pg_is_in_recovery()") == [("f",)]
        assert get(site, "/refused/replica_1")["sqlstate"] == "25006"


def test_migrating_a_replica_is_refused_and_says_what_to_run(migrated: LocalCluster) -> None:
    done = manage(environment(migrated), "migrate", "--database=replica_1")
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert "run migrate --database=default" in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("engine", ENGINES)
def test_commands_that_only_read_say_of_a_replica_what_they_say_of_its_primary(
    engine: str, migrated: LocalCluster
) -> None:
    migrated.execute("primary", "INSERT INTO library_tag (name) VALUES ('dumped') ON CONFLICT DO NOTHING")
    migrated.wait_for_replay()
    env = environment(migrated, engine=engine)
    commands = {
        ("dumpdata", "library"): '"dumped"',
        ("sqlmigrate", "library", "0001"): 'CREATE TABLE "library_tag"',
        ("sqlflush",): '"library_tag"',
    }
    for command, shown in commands.items():
        done = [manage(env, *command, f"--database={alias}") for alias in ("default", "replica_1")]
        assert {each.returncode for each in done} == {0}
        assert shown in done[0].stdout
        # In any order: sqlflush takes its tables from a set.
        words = [sorted(re.findall(r"\w+", each.stdout)) for each in done]
        assert words[0] == words[1]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("command", "writes"), [("loaddata", "INSERT library.Tag"), ("flush", "TRUNCATE"), ("createcachetable", "CREATE")]
)
def test_commands_that_write_are_refused_on_a_replica_by_a_line_that_names_the_alias_to_use(
    driver: str, command: str, writes: str, migrated: LocalCluster, tmp_path: Path
) -> None:
    fixture = tmp_path / "tags.json"
    fixture.write_text(json.dumps([{"model": "library.tag", "fields": {"name": "loaded"}}]))
    more = {"loaddata": [str(fixture)], "flush": ["--no-input"]}.get(command, [])
    done = manage(environment(migrated, driver), command, *more, "--database=replica_1")
    assert done.returncode == 1
    line = f"The alias 'replica_1' is a replica, and {writes} writes. Use the alias 'default', or use_primary()."
    assert line in done.stderr.splitlines()


def test_status_says_what_the_servers_say(gmf_cluster: LocalCluster, migrated: Any) -> None:
    env = environment(gmf_cluster)
    assert manage(env, "gmf_status").returncode == 0
    gmf_cluster.kill("replica_2")
    done = manage(env, "gmf_status")
    assert done.returncode == 1
    *table, error = done.stdout.splitlines()
    assert max(map(len, table)) <= 80  # what a terminal has at least
    assert [line.split()[:3] for line in table[1:]] == [
        ["default", "primary", "up"],
        ["replica_1", "replica", "up"],
        ["replica_2", "replica", "down"],
    ]
    assert table[2].split()[3:5] == ["0.0", "s"]
    assert error.startswith("replica_2: ")
    assert error.endswith("Connection refused")
    gmf_cluster.kill("primary")
    assert manage(env, "gmf_status").returncode == 2
    for database in gmf_cluster.databases().values():
        assert database["PASSWORD"] not in done.stdout + done.stderr


def test_status_shows_a_replica_that_was_promoted_as_down(gmf_cluster: LocalCluster, migrated: Any) -> None:
    gmf_cluster.promote("replica_1")
    done = manage(environment(gmf_cluster), "gmf_status")
    assert done.returncode == 1
    assert "The server says that it is a primary." in done.stdout
