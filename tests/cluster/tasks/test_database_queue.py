"""Does a worker of the queue that django-tasks-db keeps in the database read as its tasks say? On the real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.scripts import Ask, script
from tests.cluster.sites import ROOT, environment, manage
from tests.waiting import until

# Nothing is missing: what is tested is not part of this Django. In CI tox runs it with 6.1.
if django.VERSION < (6, 0):
    pytest.skip("django.tasks came with Django 6.0", allow_module_level=True)

REPLICAS = ("replica_1", "replica_2")
STOP_SECONDS = 20
WORKER = ("-m", "django", "db_worker", "--interval", "0.02", "--no-startup-delay", "--verbosity", "0")
# Each line is the name of a task.
SENDER = """
import sys, django
django.setup()
from django.db import transaction
from tests.books.models import Author
from tests.cluster.tasks import tasks

for line in sys.stdin:
    with transaction.atomic():
        author = Author.objects.create(name="Ada")
        result = getattr(tasks, line.strip()).enqueue(author.pk)
    print(result.id, flush=True)
"""
AT_ONCE = """
import sys, django
django.setup()
from tests.cluster.tasks.tasks import look_at_nothing

for line in sys.stdin:
    print(look_at_nothing.using(backend="at_once").enqueue().status, flush=True)
"""
RESULT = """
SELECT status, return_value FROM django_tasks_database_dbtaskresult WHERE id = '{}' AND finished_at IS NOT NULL
"""
Run = Callable[[str], Any]


@pytest.fixture(scope="module")
def env(migrated: LocalCluster) -> dict[str, str]:
    """The environment of the site with a queue."""
    found = environment(migrated) | {"DJANGO_SETTINGS_MODULE": "tests.cluster.tasks.settings"}
    done = manage(found, "migrate", "--verbosity=0")
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture(scope="module")
def sender(env: dict[str, str]) -> Iterator[Ask]:
    """A process that writes a row and sends a task for it in one transaction."""
    with script(SENDER, env) as ask:
        yield ask


@pytest.fixture(scope="module")
def run(env: dict[str, str], sender: Ask, migrated: LocalCluster) -> Iterator[Run]:
    """Send a task, and return what it returned in the one worker that there is; None where it failed."""

    def finished(name: str) -> Any:
        sent = RESULT.format(sender(name))
        ((status, returned),) = until(lambda: migrated.execute("primary", sent), what=f"{name} ends")
        assert status in {"SUCCESSFUL", "FAILED"}
        return json.loads(returned) if status == "SUCCESSFUL" else None

    with subprocess.Popen([sys.executable, *WORKER], env=env, cwd=ROOT) as worker:
        try:
            yield finished
        finally:
            # It leaves from within whatever it does just then, looking for tasks above all: its exit code says nothing.
            worker.terminate()
            worker.wait(STOP_SECONDS)


@pytest.fixture
def paused(gmf_cluster: LocalCluster) -> None:
    """No replica has the next row, nor the task: who looks for that there never begins."""
    for replica in REPLICAS:
        gmf_cluster.pause(replica)


def ports(cluster: LocalCluster) -> set[int]:
    return {cluster.port(replica) for replica in REPLICAS}


@pytest.mark.usefixtures("paused")
def test_a_task_sees_the_row_of_its_sender_which_no_replica_has(run: Run) -> None:
    found = run("say_nothing")
    assert (found["found"], found["alias"], found["reason"]) == (True, "default", "consistency")


@pytest.mark.usefixtures("paused")
def test_one_that_asks_for_nothing_does_not_see_it(run: Run) -> None:
    found = run("eventual")
    assert (found["found"], found["role"], found["reason"]) == (False, "replica", "unit_of_work")


def test_a_task_reads_from_a_replica_that_has_what_its_sender_wrote(run: Run, gmf_cluster: LocalCluster) -> None:
    for _ in range(5):
        found = run("delayed")
        assert (found["found"], found["reason"]) == (True, "unit_of_work")
        assert found["port"] in ports(gmf_cluster)
    assert run("delayed_async") == {"found": True}


def test_a_task_that_fails_or_writes_leaves_nothing_to_the_next_one(run: Run, gmf_cluster: LocalCluster) -> None:
    for _ in range(5):
        assert run("fail") is None
        assert run("write")["reason"] == "wrote"
        found = run("eventual")
        assert (found["reason"], found["within_another"]) == ("unit_of_work", False)
        assert found["port"] in ports(gmf_cluster)


def test_where_workers_read_replicas_the_queue_is_of_the_primary_models(env: dict[str, str], sender: Ask) -> None:
    """The page's lines: the worker locks what it reads, and a replica locks nothing."""
    sender("eventual")
    models = ["sessions.*", "contenttypes.*", "django_cache.*", "django_tasks_database.*"]
    router = {"OUTSIDE_REQUESTS": "replica", "PRIMARY_MODELS": models}
    command = [sys.executable, *WORKER, "--batch"]
    ended = subprocess.run(
        command,
        env={**env, "GMF_TEST_ROUTER": json.dumps(router)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=STOP_SECONDS,
    )
    assert ended.returncode == 0, ended.stderr


def test_a_task_that_needs_no_database_begins_while_no_primary_answers(env: dict[str, str]) -> None:
    databases = json.loads(env["GMF_TEST_DATABASES"])
    databases["default"]["PORT"] = "1"
    with script(AT_ONCE, {**env, "GMF_TEST_DATABASES": json.dumps(databases)}) as ask:
        assert ask("") == "SUCCESSFUL"
