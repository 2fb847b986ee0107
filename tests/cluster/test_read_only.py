"""Can nothing be written through a replica's alias, and does a refusal explain itself?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

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


def test_a_refused_write_names_the_request_and_the_line_to_add(bare: tuple[Site, str]) -> None:
    refused = get(bare[0], "/refused")
    assert (refused["class"], refused["sqlstate"]) == ("InternalError", "25006")
    (note,) = refused["notes"]
    assert note.startswith("GET /refused: The alias 'replica_")
    assert "is a replica, and INSERT library.Author writes." in note
    assert note.endswith("""Add GMF_ROUTER['default']["DB_CHOOSER"]["master"]: r"(GET|HEAD) /refused$\"""")


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


def test_status_says_what_the_servers_say(gmf_cluster: LocalCluster, migrated: Any) -> None:
    env = environment(gmf_cluster)
    assert manage(env, "gmf_status").returncode == 0
    gmf_cluster.kill("replica_2")
    done = manage(env, "gmf_status")
    assert done.returncode == 1
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:]] == [
        ["default", "primary", "up"],
        ["replica_1", "replica", "up"],
        ["replica_2", "replica", "down"],
    ]
    gmf_cluster.kill("primary")
    assert manage(env, "gmf_status").returncode == 2
    for database in gmf_cluster.databases().values():
        assert database["PASSWORD"] not in done.stdout + done.stderr


def test_status_shows_a_replica_that_was_promoted_as_down(gmf_cluster: LocalCluster, migrated: Any) -> None:
    gmf_cluster.promote("replica_1")
    done = manage(environment(gmf_cluster), "gmf_status")
    assert done.returncode == 1
    assert "The server says that it is a primary." in done.stdout
