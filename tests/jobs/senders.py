"""Who sends jobs, and what has he written before?

Run as a script it reads lines of JSON, each the name of a function, its arguments and keyword arguments, and answers
what it returned.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import django
from celery import chain, chord, group
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

django.setup()

from django_gmf_router import unit_of_work  # noqa: E402
from django_gmf_router.exceptions import PrimaryUnavailable  # noqa: E402
from django_gmf_router.middleware import RoutingMiddleware  # noqa: E402
from tests.books.models import Author  # noqa: E402
from tests.jobs import tasks  # noqa: E402
from tests.jobs.app import app  # noqa: E402

RESULT_SECONDS = 60
AT_ONCE = 4
"""So many jobs are on their way at once, so that none waits until the replicas have caught up."""
WARM_UP_SECONDS = 30

Told = dict[str, Any]


def in_a_request(method: str, view: Callable[[], Any]) -> Any:
    """Do something in a request, as a view behind the middleware does."""
    done: list[Any] = []

    def serve(_request: HttpRequest) -> HttpResponse:
        done.append(view())
        return HttpResponse()

    RoutingMiddleware(serve)(RequestFactory().generic(method, "/"))
    return done[0]


def committed(name: str, send: Callable[[], Any]) -> Any:
    """Write a row in a transaction and send on its commit."""
    sent: list[Any] = []
    with transaction.atomic():
        Author.objects.create(name=name)
        transaction.on_commit(lambda: sent.append(send()))
    return sent[0]


def got(result: Any) -> Any:
    return result.get(timeout=RESULT_SECONDS)


def job(task: str) -> Any:
    return getattr(tasks, task)


def on_commit(task: str, name: str, method: str = "POST", **options: Any) -> Any:
    """In a request: write a row, and send a job on its commit."""
    args = options.pop("args", [name])
    return got(in_a_request(method, lambda: committed(name, lambda: job(task).apply_async(args, **options))))


def on_commit_to(queue: str, task: str, name: str, *args: Any) -> None:
    """The same, without waiting for the job, whose id is the name of the row."""
    message = {"args": [name, *args], "task_id": name, "queue": queue}
    in_a_request("POST", lambda: committed(name, lambda: job(task).apply_async(**message)))


def on_commit_by_celery(task: str, name: str) -> Any:
    """The same by Celery's own `delay_on_commit()`, which returns no result: the job's id is known beforehand."""

    def view() -> Any:
        with transaction.atomic():
            Author.objects.create(name=name)
            job(task).apply_async_on_commit((name,), task_id=name)

    in_a_request("POST", view)
    return got(app.AsyncResult(name))


def many(task: str, count: int, prefix: str) -> list[Told]:
    """Write rows and send a job for each on its commit, a few at once; return what they told."""
    found: list[Told] = []
    for start in range(0, count, AT_ONCE):
        names = [f"{prefix} {number}" for number in range(start, min(start + AT_ONCE, count))]
        sent = [
            in_a_request("POST", lambda name=name: committed(name, lambda: job(task).delay(name))) for name in names
        ]
        found += map(got, sent)
    return found


def warm_up(processes: int, name: str) -> list[int]:
    """Send jobs until each process of the worker knows that all nodes are up, and a replica serves; return the pids."""
    deadline, ready, number = time.monotonic() + WARM_UP_SECONDS, set[int](), 0
    while len(ready) < processes and time.monotonic() < deadline:
        number += 1
        try:
            found = many("session", AT_ONCE, f"{name} {number}")
        except PrimaryUnavailable:  # one of them believes so, until it asks again
            continue
        ready |= {told["pid"] for told in found if told["alias"] != "default" and told["is_whole"]}
    return sorted(ready)


def in_a_transaction(task: str, name: str, open_seconds: float = 0) -> Told:
    """Write a row and send a job before the commit, which comes `open_seconds` later; the job runs after it."""

    def view() -> Any:
        with transaction.atomic():
            Author.objects.create(name=name)
            sent = job(task).apply_async([name], countdown=open_seconds + 0.5)
            time.sleep(open_seconds)  # the transaction is open for so long: that is the case
        return sent

    return got(in_a_request("POST", view))


def before_the_write(task: str, name: str) -> Told:
    """Send a job in a transaction, and write only then what it looks for."""

    def view() -> Any:
        with transaction.atomic():
            sent = job(task).apply_async([name], countdown=0.5)
            Author.objects.create(name=name)
        return sent

    return got(in_a_request("POST", view))


def without_autocommit(task: str, name: str) -> Told:
    """Write and send in a transaction that is open without `atomic()`."""

    def view() -> Any:
        transaction.set_autocommit(False)
        try:
            Author.objects.create(name=name)
            sent = job(task).apply_async([name], countdown=0.5)
            transaction.commit()
        finally:
            transaction.set_autocommit(True)
        return sent

    return got(in_a_request("POST", view))


def without_a_write(task: str, name: str) -> Told:
    """Send from a request that wrote nothing."""
    return got(in_a_request("POST", lambda: job(task).delay(name)))


def header_without_a_request(name: str) -> str:
    """Send where there is no request, and write nothing; return the token that the message carried."""
    return str(got(job("header").delay(name)))


def outside(task: str, name: str) -> Told:
    """Write and send where there is no request: in a script or a shell."""
    Author.objects.create(name=name)
    return got(job(task).delay(name))


def in_a_unit_inside(task: str, name: str) -> Told:
    """Write in a request, and send from a unit of work in it."""

    def view() -> Any:
        Author.objects.create(name=name)
        with unit_of_work():
            return job(task).delay(name)

    return got(in_a_request("GET", view))


def chained(name: str, middle: str, task: str) -> Told:
    """Write a row in a request; a chain passes its name on, the last job looks."""
    line = chain(job(middle).s(name), job(task).s())
    return got(in_a_request("POST", lambda: committed(name, line.delay)))


def chain_writes(name: str, task: str) -> Told:
    """What the first of a chain writes, the second looks for."""
    return got(in_a_request("GET", lambda: chain(tasks.write.s(name), job(task).s()).delay()))


def grouped(task: str, name: str, count: int) -> list[Told]:
    """A group of jobs that all look for the row of their sender."""
    jobs = group(job(task).s(name) for _ in range(count))
    return got(in_a_request("POST", lambda: committed(name, jobs.delay)))


def chorded(name: str, turn: str, ids: list[str]) -> None:
    """A chord of which one part writes after the other has begun; the body looks for that row."""
    writes = tasks.write_when.s(name, turn).set(task_id=ids[0])
    ends = tasks.end_when.s(turn, name).set(task_id=ids[1])
    in_a_request("GET", lambda: chord([ends, writes], tasks.of_all.s(name).set(task_id=ids[2])).delay())


def result_of(task_id: str) -> Any:
    """Wait for the result of a job."""
    return got(app.AsyncResult(task_id))


def bad_ends(ways: list[str], name: str) -> list[str]:
    """Send jobs that end badly, and return their states."""
    sent = [tasks.end_badly.delay(way, name) for way in ways]
    return [str(each.state) for each in sent]


def revoked(task: str, name: str) -> str:
    """Send a job, take it back before it begins, and return its state."""
    sent = job(task).apply_async([name], countdown=0.5)
    app.control.revoke(sent.id)
    sent.get(timeout=RESULT_SECONDS, propagate=False)
    return str(sent.state)


def by_protocol(version: int, task: str, name: str) -> Told:
    """Send by a version of the message protocol."""
    app.conf.task_protocol, before = version, app.conf.task_protocol
    app.amqp.__dict__.pop("create_task_message", None)  # it is kept
    try:
        return dict(on_commit(task, name))
    finally:
        app.conf.task_protocol = before
        app.amqp.__dict__.pop("create_task_message", None)


def serve() -> None:
    for line in sys.stdin:
        what, args, kwargs = json.loads(line)
        try:
            answer = {"result": globals()[what](*args, **kwargs)}
        except Exception:  # noqa: BLE001  the test tells it
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
