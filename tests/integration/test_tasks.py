"""Does a task of django.tasks read as its level says, and does the request that sent it go on as before?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import django
import pytest

# Nothing is missing: what is tested is not part of this Django. In CI tox runs it with 6.1.
if django.VERSION < (6, 0):
    pytest.skip("django.tasks came with Django 6.0", allow_module_level=True)

from django.db import router
from django.http import HttpRequest, HttpResponse
from django.tasks import TaskResult, TaskResultStatus, task
from django.tasks.signals import task_finished, task_started
from django.test import RequestFactory

from django_gmf_router import current_decision, use_primary
from django_gmf_router.contrib import tasks
from django_gmf_router.contrib.tasks import gmf_consistency, install
from django_gmf_router.middleware import RoutingMiddleware
from django_gmf_router.routing.unit_of_work import NOWHERE, current_place
from tests.books.models import Author, Book
from tests.conftest import OpenUnit

pytestmark = [pytest.mark.usefixtures("unmirrored"), pytest.mark.django_db(databases=["default"])]


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    """The default is what a task without a level has; the immediate backend is Django's default."""
    install("eventual")
    yield
    for signal in (task_started, task_finished):
        signal.disconnect(dispatch_uid="gmf_router")


def read() -> tuple[str, str]:
    alias = str(router.db_for_read(Book))
    return alias, str(current_decision()).partition("reason=")[2]


@task
def reason() -> str:
    return read()[1]


@task
@gmf_consistency("strong")
def strong() -> str:
    return read()[1]


@task
@gmf_consistency("session")
def session() -> str:
    return read()[1]


@task
@gmf_consistency("eventual")
async def eventual() -> str:
    await asyncio.sleep(0)
    return read()[1]


@task
@gmf_consistency("strong")
async def strong_async() -> str:
    await asyncio.sleep(0)
    return read()[1]


@task
@gmf_consistency("session")
def without_a_database(number: int) -> int:
    return number


@task
def write(fails: bool = False) -> list[str]:
    with use_primary():
        before = read()[1]
        Author.objects.create(name="Ada")
        if fails:
            raise ValueError("no")
    return [before, read()[1]]


@task
def sends_another() -> list[str]:
    before = read()[1]
    strong.enqueue()
    write.enqueue()
    return [before, read()[1]]


@task
def unheard_of() -> None:
    """Have a level that nobody knows."""


unheard_of.func.gmf_consistency = "sessions"  # type: ignore[attr-defined]


def returned(result: TaskResult[Any, Any]) -> Any:
    assert result.status == TaskResultStatus.SUCCESSFUL, result.errors
    return result.return_value


@pytest.mark.parametrize(
    ("sent", "expected"), [(strong, "use_primary"), (session, "consistency"), (eventual, "unit_of_work")]
)
def test_a_task_reads_as_its_function_says(sent: Any, expected: str) -> None:
    assert returned(sent.enqueue()) == expected
    assert current_place.get() is NOWHERE


def test_a_task_that_says_nothing_has_the_default_of_the_last_call() -> None:
    assert returned(reason.enqueue()) == "unit_of_work"
    install()
    assert returned(reason.enqueue()) == "use_primary"


def test_a_level_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="gmf_consistency='sessions': choose one of 'strong', 'session'"):
        install("sessions")
    with pytest.raises(ValueError, match="choose one of"):
        gmf_consistency("sessions")
    with pytest.raises(ValueError, match="choose one of"):
        unheard_of.enqueue()
    assert current_place.get() is NOWHERE
    assert tasks._RUNNING == {}


def test_a_request_goes_on_as_before_after_a_task_that_only_reads(open_request: OpenUnit) -> None:
    with open_request("GET", "/"):
        before = read()
        assert before[1] == "read_method"
        assert returned(strong.enqueue()) == "use_primary"
        assert read() == before
        with use_primary():
            assert returned(reason.enqueue()) == "unit_of_work"
            assert read()[1] == "use_primary"


@pytest.mark.parametrize("fails", [False, True])
def test_a_request_reads_what_its_task_wrote_also_of_one_that_fails(open_request: OpenUnit, fails: bool) -> None:
    with open_request("GET", "/"):
        assert read()[1] == "read_method"
        result = write.enqueue(fails=fails)
        assert (result.status == TaskResultStatus.FAILED) is fails
        assert fails or result.return_value == ["use_primary", "wrote"]
        assert read() == ("default", "wrote")
        # It was the request's to write, not the next task's.
        assert returned(reason.enqueue()) == "unit_of_work"


def test_the_client_of_a_request_has_a_token_of_what_its_task_wrote() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        write.enqueue()
        return HttpResponse()

    assert "gmf_token" in RoutingMiddleware(view)(RequestFactory().get("/")).cookies


def test_a_task_that_sends_another_goes_on_as_before_and_reads_what_that_wrote() -> None:
    assert returned(sends_another.enqueue()) == ["unit_of_work", "wrote"]
    assert returned(reason.enqueue()) == "unit_of_work"
    assert current_place.get() is NOWHERE


def test_tasks_that_are_sent_at_a_time_by_coroutines_do_not_mix() -> None:
    async def send(sent: Any) -> Any:
        answer = returned(await sent.aenqueue())
        assert current_place.get() is NOWHERE
        return answer

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*[send(sent) for sent in (eventual, strong_async, reason, strong) * 5])

    assert asyncio.run(all_of_them()) == ["unit_of_work", "use_primary"] * 10


def test_an_async_request_goes_on_as_before_and_reads_what_its_task_wrote(open_request: OpenUnit) -> None:
    async def serve() -> None:
        before = read()
        assert returned(await strong_async.aenqueue()) == "use_primary"
        assert read() == before

    with open_request("GET", "/"):
        asyncio.run(serve())


def test_a_backend_that_sends_its_signals_from_a_coroutine_leaves_nothing_behind() -> None:
    """Django 6.0 runs the receivers in a context that ends with them: the task reads as if there were none."""

    async def work() -> str:
        result = await reason.aenqueue()
        await task_started.asend(None, task_result=result)
        found = read()[1]
        await task_finished.asend(None, task_result=result)
        assert current_place.get() is NOWHERE
        return found

    assert asyncio.run(work()) == ("unit_of_work" if django.VERSION >= (6, 1) else "")
    assert tasks._RUNNING == {}


def test_a_task_that_needs_no_database_begins_where_none_may_be_asked() -> None:
    async def send() -> Any:
        return without_a_database.enqueue(7)

    assert returned(asyncio.run(send())) == 7


def test_nothing_is_kept_of_two_thousand_tasks_of_which_half_fail() -> None:
    for number in range(2000):
        without_a_database.enqueue() if number % 2 else reason.enqueue()
        assert current_place.get() is NOWHERE
    assert tasks._RUNNING == {}
