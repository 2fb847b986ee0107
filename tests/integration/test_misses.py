"""Is a miss on a replica asked of the primary where the site says so, and only there?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connections
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext

from django_gmf_router import or_primary, use_primary
from tests.books.models import Author
from tests.conftest import OpenUnit

pytestmark = [pytest.mark.usefixtures("unmirrored"), pytest.mark.django_db(databases="__all__", transaction=True)]


class Asked:
    """How many queries each alias was asked."""

    def __init__(self, captured: dict[str, CaptureQueriesContext]) -> None:
        self._captured = captured

    def of(self) -> dict[str, int]:
        """Return and forget them."""
        found = {alias: len(context.captured_queries) for alias, context in self._captured.items()}
        for context in self._captured.values():
            context.initial_queries = len(context.connection.queries_log)
        return {alias: count for alias, count in found.items() if count}


@pytest.fixture
def asked() -> Iterator[Asked]:
    with ExitStack() as stack:
        contexts = {alias: stack.enter_context(CaptureQueriesContext(connections[alias])) for alias in connections}
        yield Asked(contexts)


@pytest.fixture
def on_primary() -> Author:
    """A row that no replica has: these are other databases."""
    return Author.objects.using("default").create(name="Ada")


def test_a_hit_on_the_replica_is_a_hit(open_request: OpenUnit, asked: Asked) -> None:
    for alias in ("replica_1", "replica_2"):
        Author.objects.using(alias).create(name="Ada")
    asked.of()
    with open_request("GET", "/"):
        assert or_primary(Author.objects).get(name="Ada").name == "Ada"
    assert [*asked.of().values()] == [1]


def test_a_miss_is_asked_of_the_primary(open_request: OpenUnit, on_primary: Author) -> None:
    with open_request("GET", "/"):
        with pytest.raises(Author.DoesNotExist):
            Author.objects.get(name="Ada")
        assert or_primary(Author.objects).get(name="Ada") == on_primary
        assert or_primary(Author.objects.filter(name="Ada")).first() == on_primary
        assert or_primary(Author.objects.filter(name="Ada")).exists()
        assert or_primary(Author.objects).in_bulk([on_primary.pk, -1]) == {on_primary.pk: on_primary}
        assert or_primary(Author.objects).filter(name__startswith="A").order_by("name").get() == on_primary


def test_a_miss_of_both_is_a_miss(open_request: OpenUnit, asked: Asked) -> None:
    with open_request("GET", "/"):
        with pytest.raises(Author.DoesNotExist):
            or_primary(Author.objects).get(name="Ada")
        assert asked.of().pop("default") == 1
        assert or_primary(Author.objects.filter(name="Ada")).first() is None
        assert not or_primary(Author.objects.filter(name="Ada")).exists()
        assert or_primary(Author.objects).in_bulk([-1]) == {}


def test_what_is_read_from_the_primary_is_asked_once(open_request: OpenUnit, asked: Asked) -> None:
    with open_request("GET", "/"), use_primary():
        assert not or_primary(Author.objects.filter(name="Ada")).exists()
    with open_request("POST", "/"):
        assert not or_primary(Author.objects.filter(name="Ada")).exists()
    assert asked.of() == {"default": 2}


def test_an_alias_that_was_given_by_hand_is_obeyed(open_request: OpenUnit, on_primary: Author, asked: Asked) -> None:
    asked.of()
    with open_request("GET", "/"):
        assert not or_primary(Author.objects.using("replica_1").filter(pk=on_primary.pk)).exists()
    assert asked.of() == {"replica_1": 1}


# get_or_create and update_or_create


def test_what_is_there_is_got_from_the_replica(open_request: OpenUnit, asked: Asked) -> None:
    for alias in connections:
        Author.objects.using(alias).create(pk=7, name="Ada")
    asked.of()
    with open_request("GET", "/"):
        assert Author.objects.get_or_create(pk=7)[1] is False
        assert Author.objects.update_or_create(pk=7, defaults={"name": "Ada"})[1] is False
    assert "default" not in asked.of()


def test_what_is_not_there_is_created_on_the_primary(open_request: OpenUnit) -> None:
    with open_request("GET", "/"):
        made, created = Author.objects.get_or_create(name="Ada")
    assert created
    assert made._state.db == "default"
    assert Author.objects.using("default").filter(name="Ada").exists()


def test_what_differs_is_updated_on_the_primary(open_request: OpenUnit) -> None:
    for alias in connections:
        Author.objects.using(alias).create(pk=7, name="Ada")
    with open_request("GET", "/"):
        assert Author.objects.update_or_create(pk=7, defaults={"name": "Eve"})[1] is False
    assert Author.objects.using("default").get(pk=7).name == "Eve"


def test_a_model_with_receivers_is_saved_as_ever(open_request: OpenUnit) -> None:
    for alias in connections:
        Author.objects.using(alias).create(pk=7, name="Ada")
    saved: list[Any] = []

    def receive(sender: Any, instance: Any, **kwargs: Any) -> None:  # noqa: ARG001
        saved.append(instance)

    post_save.connect(receive, sender=Author)
    try:
        with open_request("GET", "/"):
            Author.objects.update_or_create(pk=7, defaults={"name": "Ada"})
    finally:
        post_save.disconnect(receive, sender=Author)
    assert len(saved) == 1


def test_outside_of_reading_requests_django_is_as_ever(open_request: OpenUnit, asked: Asked) -> None:
    Author.objects.using("default").create(pk=7, name="Ada")
    asked.of()
    with open_request("POST", "/"):
        assert Author.objects.get_or_create(pk=7)[1] is False
    assert [*asked.of()] == ["default"]
