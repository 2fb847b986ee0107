"""Does a worker, which no request begins or ends for, live through an outage of its primary?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.scripts import script
from tests.cluster.sites import DRIVERS, environment
from tests.waiting import until

WORKER = """
import sys, django
django.setup()
from django.db import close_old_connections, transaction
from django_gmf_router.exceptions import PrimaryUnavailable
from tests.books.models import Author

def write():
    Author.objects.create(name="by a worker")

for line in sys.stdin:
    close_old_connections()  # as Celery does
    try:
        if line == "in a transaction\\n":
            with transaction.atomic():
                write()
        else:
            write()
    except PrimaryUnavailable as error:
        print("unavailable", flush=True)
    else:
        print("written", flush=True)
"""

SESSION = """
import sys, django
django.setup()
from django.db import connection
from django_gmf_router.exceptions import PrimaryUnavailable

for line in sys.stdin:
    try:
        with connection.cursor() as cursor:
            cursor.execute(line)
    except PrimaryUnavailable:
        print("unavailable", flush=True)
    else:
        print("done", flush=True)
"""


@pytest.mark.parametrize("how", ["alone", "in a transaction"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_first_write_after_the_return_of_the_primary_succeeds(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str, how: str
) -> None:
    with script(WORKER, environment(gmf_cluster, driver)) as ask:
        assert ask(how) == "written"
        gmf_cluster.kill("primary")
        assert [ask(how), ask(how)] == ["unavailable"] * 2
        gmf_cluster.restart("primary")
        assert ask(how) == "written"


@pytest.mark.parametrize("how", ["alone", "in a transaction"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_restart_between_two_tasks_costs_none(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str, how: str
) -> None:
    with script(WORKER, environment(gmf_cluster, driver)) as ask:
        assert ask(how) == "written"
        gmf_cluster.restart("primary")
        assert ask(how) == "written"


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_session_that_is_lost_is_not_replaced_within_a_task(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str
) -> None:
    """Its advisory locks are gone with it, and the next statement may rely on them."""
    with script(SESSION, environment(gmf_cluster, driver)) as ask:
        assert ask("SELECT pg_advisory_lock(1)") == "done"
        gmf_cluster.restart("primary")
        assert [ask("SELECT 1"), ask("SELECT 1")] == ["unavailable"] * 2


@pytest.mark.parametrize("how", ["alone", "in a transaction"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_primary_that_takes_no_connection_yet_is_none(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str, how: str
) -> None:
    with script(WORKER, environment(gmf_cluster, driver)) as ask:
        assert ask(how) == "written"
        gmf_cluster.kill("primary")
        with starting_up(gmf_cluster):
            assert ask(how) == "unavailable"
        gmf_cluster.restart("primary")
        assert ask(how) == "written"


@contextmanager
def starting_up(cluster: LocalCluster) -> Iterator[None]:
    """Run a primary that stays as it is while it starts: "the database system is not accepting connections"."""
    node = cluster._server("primary")
    signal, conf = node.data / "standby.signal", node.data / "postgresql.auto.conf"
    before = conf.read_text()
    signal.touch()
    conf.write_text(f"{before}hot_standby = off\n")
    try:
        # Which pg_ctl takes for started: a standby that never takes queries.
        node.start(timeout_seconds=30)
        until(lambda: "the database system is not accepting" in refusal(cluster))
        yield
    finally:
        cluster.kill("primary")
        signal.unlink()
        conf.write_text(before)


def refusal(cluster: LocalCluster) -> str:
    try:
        psycopg.connect(cluster.dsn("primary")).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""
