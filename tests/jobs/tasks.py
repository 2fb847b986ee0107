"""Which jobs do the tests run?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Ignore, Reject
from django.db import transaction

from django_gmf_router import current_decision
from django_gmf_router.clusters import registry
from django_gmf_router.replicas.health import State
from django_gmf_router.routing.unit_of_work import open_unit
from tests.books.models import Author
from tests.jobs.app import LEFT, app
from tests.waiting import until

Told = dict[str, Any]


def told(name: str, request: Any = None) -> Told:
    """Look a row up, and tell whether it was there, who served it and why, and how clean the job began."""
    unit, before = open_unit(), current_decision()
    is_clean = unit is not None and before is None and not unit.wrote and not unit.outer
    found = Author.objects.filter(name=name).exists()
    decision = current_decision()
    return {
        "found": found,
        "alias": decision.alias if decision else None,
        "reason": decision.reason if decision else None,
        "is_clean": is_clean,
        "left": list(LEFT),
        "is_whole": {node.state for node in registry().clusters[0].monitor.snapshot.values()} == {State.UP},
        "pid": os.getpid(),
        "header": None if request is None else (request.headers or {}).get("gmf_token"),
    }


@app.task(gmf_consistency="strong")
def strong(name: str) -> Told:
    return told(name)


@app.task(bind=True, gmf_consistency="session")
def session(self: Task, name: str) -> Told:
    return told(name, self.request)


@app.task(bind=True)
def header(self: Task, name: str) -> str:
    """Return the token of the message, and read nothing: a worker may still believe that the primary is away."""
    return str((self.request.headers or {}).get("gmf_token", ""))


@app.task(gmf_consistency="delayed")
def delayed(name: str) -> Told:
    return told(name)


@app.task(gmf_consistency="eventual")
def eventual(name: str) -> Told:
    return told(name)


@shared_task
def by_default(name: str) -> Told:
    return told(name)


@shared_task(gmf_consistency="eventual")
def shared(name: str) -> Told:
    return told(name)


@app.task(gmf_consistency="sesion")
def misspelt(name: str) -> Told:
    return told(name)


class ByClass(Task):
    """A task made of a class."""

    name = "tests.jobs.by_class"
    gmf_consistency = "strong"

    def run(self, name: str) -> Told:
        return told(name)


by_class = app.register_task(ByClass())


# Jobs that write, and jobs that send jobs


@app.task(gmf_consistency="session")
def write(*names: str) -> str:
    """Write rows, and hand the last name on to the next in a chain."""
    Author.objects.bulk_create(Author(name=name) for name in names)
    return names[-1]


@app.task(gmf_consistency="strong")
def pass_on(name: str) -> str:
    """Write nothing, and hand the name on."""
    return name


@app.task(gmf_consistency="session")
def session_pass_on(name: str) -> str:
    return name


@app.task(gmf_consistency="eventual")
def eventual_pass_on(name: str) -> str:
    return name


@app.task(gmf_consistency="session")
def write_when(name: str, turn: str) -> str:
    """Write a row once another part of the chord, or whoever, made the file `turn`."""
    until(Path(turn).exists)
    Author.objects.create(name=name)
    return name


@app.task(gmf_consistency="session")
def end_when(turn: str, until_there: str) -> str:
    """Let the other part write, and end once its row is on the primary, and its own result is as good as kept."""
    Path(turn).touch()
    until(Author.objects.using("default").filter(name=until_there).exists)
    until(Path(f"{turn}.ended").exists)
    return until_there


@app.task(gmf_consistency="session")
def of_all(names: list[str], wanted: str) -> Told:
    """Look a row up as the body of a chord."""
    return told(wanted)


@app.task(bind=True, gmf_consistency="session", max_retries=1)
def again(self: Task, name: str, own: str) -> list[Told]:
    """Write a row, retry, and look for it and for that of the sender."""
    if self.request.retries == 0:
        Author.objects.create(name=own)
        raise self.retry(countdown=0)
    return [told(name, self.request), told(own)]


@app.task(bind=True, gmf_consistency="session", autoretry_for=(ValueError,), max_retries=1, default_retry_delay=0)
def again_by_itself(self: Task, name: str) -> Told:
    if self.request.retries == 0:
        raise ValueError("Once more.")
    return told(name, self.request)


# Jobs that end as they should not


@app.task(bind=True)
def end_badly(self: Task, how: str, name: str) -> str:
    """Write, open a block, and end in each way that there is."""
    Author.objects.create(name=name)
    if how == "raise":
        raise ValueError("It was meant to fail.")
    if how == "reject":
        raise Reject("It was meant to be rejected.", requeue=False)
    if how == "ignore":
        raise Ignore
    if how == "atomic":
        with transaction.atomic():
            Author.objects.create(name=f"{name} undone")
            raise ValueError("It was meant to be undone.")
    return name


@app.task(gmf_consistency="delayed", soft_time_limit=0.5)
def limited(name: str) -> Told:
    """Be ended by its soft time limit while it waits for a replica."""
    return told(name)


@app.task(bind=True, gmf_consistency="session", acks_late=True)
def killed_once(self: Task, name: str, mark: str) -> Told:
    """Tell its process, and wait to be killed; tell what is to tell the second time."""
    began = Path(mark)
    if not began.exists():
        began.write_text(str(os.getpid()))
        until(lambda: False, 60)
    return {**told(name, self.request), "redelivered": True}


@app.task(gmf_consistency="session")
def look_for_last() -> Told:
    """Look for the row that was written last; beat sends it."""
    last = Author.objects.using("default").order_by("-pk").first()
    return told(last.name if last else "nobody")
