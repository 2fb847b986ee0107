"""Does a worker, which no request begins or ends for, live through an outage of its primary?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from django_gmf_router.exceptions import PrimaryUnavailable
from django_gmf_router.testing import LocalCluster
from tests.chaos.sessions import exhausted
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

READER = """
import sys, django
django.setup()
from django.db import close_old_connections, connections
from tests.books.models import Author

for line in sys.stdin:
    close_old_connections()
    Author.objects.using("replica_1").count()
    print(connections["replica_1"].node, flush=True)
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


# Each line is Python; it prints what it evaluates to, or the error.
CONSOLE = """
import gc, os, socket, sys, django
django.setup()
from django.db import connection, connections, transaction
from django_gmf_router import clusters
from django_gmf_router.postgres.sockets import is_gone
from tests.books.models import Author
from tests.waiting import until

def end_in_the_middle():
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO library_author (name) SELECT pg_terminate_backend(pg_backend_pid())::text")

def end_in_a_transaction():
    with transaction.atomic():
        end_in_the_middle()

def end_in_the_commit():
    with transaction.atomic():
        Author.objects.create(name="committed?")
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE last (id int)")
            cursor.execute("CREATE FUNCTION pg_temp.leave() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'")
            cursor.execute("CREATE CONSTRAINT TRIGGER leave AFTER INSERT ON last DEFERRABLE INITIALLY DEFERRED"
                " FOR EACH ROW EXECUTE FUNCTION pg_temp.leave()")
            cursor.execute("INSERT INTO last VALUES (1)")

def write_in_a_transaction():
    with transaction.atomic():
        Author.objects.create(name="in a transaction")

def read_after_an_idle_session_ended():
    with connections["replica_1"].cursor() as cursor:
        cursor.execute("SET idle_session_timeout = '100ms'")
    until(lambda: is_gone(connections["replica_1"].connection))
    return Author.objects.using("replica_1").count()

def of_tcp():
    connection.ensure_connection()
    duplicate = socket.socket(fileno=os.dup(connection.connection.fileno()))
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    return [duplicate.getsockopt(socket.IPPROTO_TCP, name) for name in names]

def is_freed_in_a_receiver():
    from django.db.backends.signals import connection_created
    found = []
    def receive(connection, **kwargs):
        # As if the monitor found the node late while a receiver writes.
        connection.held.free()
        found.append(is_gone(connection.connection))
    connection_created.connect(receive, weak=False)
    connection.ensure_connection()
    return found

def descriptors_after_failures():
    gc.disable()
    for _ in range(20):
        try:
            with connections["replica_1"].cursor() as cursor:
                cursor.execute("SELECT 1 / 0")
        except django.db.Error:
            pass
        connections["replica_1"].close()
    return clusters.registry().clusters[0].nodes.sockets.count()

for line in sys.stdin:
    try:
        print(eval(line), flush=True)
    except Exception as error:
        line = " ".join(str(error).split())
        print(f"{type(error).__name__}: {getattr(error, 'outcome', '')} {line}", flush=True)
    connection.close()
"""

CREATE = 'Author.objects.create(name="alone")'
WRITES = [CREATE, "write_in_a_transaction()", "connection.ensure_connection()"]
NOTHING, PERHAPS = PrimaryUnavailable.NOTHING_SAVED, PrimaryUnavailable.MAY_BE_SAVED


@pytest.mark.parametrize("driver", DRIVERS)
def test_who_loses_the_primary_in_a_write_is_told_that_it_may_have_been_saved(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str
) -> None:
    with script(CONSOLE, environment(gmf_cluster, driver)) as ask:
        assert ask("end_in_the_middle()").startswith(f"PrimaryUnavailable: {PERHAPS}")
        assert ask("end_in_the_commit()").startswith(f"PrimaryUnavailable: {PERHAPS}")
        # What it did is undone, and was never committed.
        assert ask("end_in_a_transaction()").startswith(f"PrimaryUnavailable: {NOTHING}")
        gmf_cluster.kill("primary")
        assert all(ask(write).startswith(f"PrimaryUnavailable: {NOTHING}") for write in WRITES)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_primary_without_a_connection_left_is_unavailable_however_it_is_asked(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str
) -> None:
    with script(CONSOLE, environment(gmf_cluster, driver)) as ask, exhausted(gmf_cluster, "primary"):
        answers = [ask(write) for write in WRITES]
    assert all(answer.startswith(f"PrimaryUnavailable: {NOTHING}") for answer in answers), answers
    assert all("too many clients" in answer or "connection slots" in answer for answer in answers), answers


@pytest.mark.parametrize("wrong", [{"NAME": "nowhere"}, {"USER": "nobody"}, {"PASSWORD": "s3cret"}], ids=str)
@pytest.mark.parametrize("driver", DRIVERS)
def test_wrong_settings_are_an_operational_error_as_in_django(
    gmf_cluster: LocalCluster, driver: str, wrong: dict[str, str]
) -> None:
    with script(CONSOLE, environment(gmf_cluster, driver, **wrong)) as ask:
        answers = [ask(write) for write in WRITES]
    assert all(answer.startswith("OperationalError:") and "FATAL:" in answer for answer in answers), answers
    assert not any("s3cret" in answer for answer in answers)


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"HOST": "nowhere.invalid"}, "nowhere.invalid"),
        ({"OPTIONS": {"sslmode": "require"}}, "server does not support SSL"),
        ({"PORT": 1}, "Connection refused"),
        ({"PASSWORD": ""}, "no password supplied"),
    ],
    ids=str,
)
@pytest.mark.parametrize("driver", DRIVERS)
def test_what_makes_the_primary_unavailable_is_told_and_logged(
    gmf_cluster: LocalCluster, driver: str, wrong: dict[str, Any], cause: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with script(CONSOLE, environment(gmf_cluster, driver, **wrong)) as ask:
        answers = [ask(write) for write in WRITES]
    assert all(answer.startswith("PrimaryUnavailable:") and cause in answer for answer in answers), answers
    assert cause in capfd.readouterr().err


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_machine_that_is_gone_is_noticed_by_tcp(gmf_cluster: LocalCluster, driver: str) -> None:
    options = {"keepalives_idle": 7}
    with script(CONSOLE, environment(gmf_cluster, driver, OPTIONS=options)) as ask:
        assert ask("of_tcp()") == "[7, 5, 3, 25000]"


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_read_whose_idle_session_the_server_ended_is_executed_again(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str
) -> None:
    with script(CONSOLE, environment(gmf_cluster, driver)) as ask:
        assert ask("read_after_an_idle_session_ended()").isdigit()


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_a_receiver_of_connection_created_does_is_not_cut(gmf_cluster: LocalCluster, driver: str) -> None:
    with script(CONSOLE, environment(gmf_cluster, driver)) as ask:
        assert ask("is_freed_in_a_receiver()") == "[False]"


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_connection_that_is_closed_leaves_no_descriptor_behind(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str
) -> None:
    with script(CONSOLE, environment(gmf_cluster, driver)) as ask:
        assert ask("descriptors_after_failures()") == "0"


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
def starting_up(cluster: LocalCluster, words: str = "the database system is not accepting") -> Iterator[None]:
    """Run a primary that stays as it is while it starts, and then refuses connections in these words."""
    node = cluster._server("primary")
    signal, conf = node.data / "standby.signal", node.data / "postgresql.auto.conf"
    before = conf.read_text()
    signal.touch()
    conf.write_text(f"{before}hot_standby = off\n")
    try:
        # Which pg_ctl takes for started: a standby that never takes queries.
        node.start(timeout_seconds=30)
        until(lambda: words in refusal(cluster))
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


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_worker_that_routes_no_read_returns_to_its_replica(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str
) -> None:
    with script(READER, environment(gmf_cluster, driver)) as ask:
        assert ask("read") == "replica_1"
        gmf_cluster.kill("replica_1")
        assert ask("read") == "replica_2"
        gmf_cluster.restart("replica_1")
        until(lambda: ask("read") == "replica_1")
