"""The tasks that the tests send; each tells which node served its reads."""

from __future__ import annotations

from typing import Any

from django.tasks import task

from django_gmf_router.contrib.tasks import gmf_consistency
from django_gmf_router.routing.unit_of_work import open_unit
from tests.books.models import Author
from tests.urls import look


def find(author: int) -> dict[str, Any]:
    """Look for an author, then where that was read."""
    is_found = Author.objects.filter(pk=author).exists()
    unit = open_unit()
    assert unit is not None
    return {"found": is_found, "within_another": unit.outer is not None, **look()}


@task
def say_nothing(author: int) -> dict[str, Any]:
    """Look as the default of the site says."""
    return find(author)


@task
def look_at_nothing() -> None:
    """Need no database."""


@task
@gmf_consistency("delayed")
def delayed(author: int) -> dict[str, Any]:
    """Look when a replica has it, within a second."""
    return find(author)


@task
@gmf_consistency("delayed")
async def delayed_async(author: int) -> dict[str, Any]:
    """The same in a coroutine."""
    is_found = await Author.objects.filter(pk=author).aexists()
    return {"found": is_found}


@task
@gmf_consistency("eventual")
def eventual(author: int) -> dict[str, Any]:
    """Look at once."""
    return find(author)


@task
@gmf_consistency("eventual")
def fail(author: int) -> None:
    """Write, and raise."""
    Author.objects.filter(pk=author).update(name="by a task that fails")
    raise ValueError("no")


@task
@gmf_consistency("eventual")
def write(author: int) -> dict[str, Any]:
    """Write, then look."""
    Author.objects.filter(pk=author).update(name="by a task")
    return find(author)
