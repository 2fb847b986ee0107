"""Is a miss on a replica asked of the primary where the site says so, and what does a GET ask that gets or creates?"""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import FieldError
from django.db import IntegrityError, connections, models, transaction
from django.db.models import F, prefetch_related_objects
from django.db.models.functions import Upper
from django.db.models.signals import post_save
from django.test import override_settings
from django.test.utils import CaptureQueriesContext, isolate_apps

from django_gmf_router import or_primary, unit_of_work, use_primary, use_replica
from django_gmf_router.routing import misses
from tests.books.models import Author, Book, Tag
from tests.conftest import OpenUnit

pytestmark = [pytest.mark.usefixtures("unmirrored"), pytest.mark.django_db(databases="__all__", transaction=True)]
REPLICAS = ("replica_1", "replica_2")


class Asked:
    """How many queries each alias was asked."""

    def __init__(self, captured: dict[str, CaptureQueriesContext]) -> None:
        self._captured = captured

    def since(self) -> dict[str, int]:
        """Return how many since this was called last; both replicas as one."""
        found = {"default": 0, "replica": 0}
        for alias, context in self._captured.items():
            queries = [query for query in context.captured_queries if "FROM" in query["sql"] or "INTO" in query["sql"]]
            found["replica" if alias in REPLICAS else alias] += len(queries)
            context.initial_queries = len(context.connection.queries_log)
        return {alias: count for alias, count in found.items() if count}


@pytest.fixture
def asked() -> Iterator[Asked]:
    with ExitStack() as stack:
        aliases = ("default", *REPLICAS)
        yield Asked({alias: stack.enter_context(CaptureQueriesContext(connections[alias])) for alias in aliases})


@pytest.fixture
def pause(unmirrored: None, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Let the replicas have what is committed when this is called, and nothing that comes later."""
    names = {alias: connections[alias].settings_dict["NAME"] for alias in REPLICAS}

    def close() -> None:
        for alias in REPLICAS:
            connections[alias].close()

    def close_everywhere() -> None:
        close()
        # Awaited queries are made in a thread that outlives the test.
        asyncio.run(sync_to_async(close)())

    def pause() -> None:
        connections["default"].ensure_connection()
        file = tmp_path / "replica.sqlite3"
        with closing(sqlite3.connect(file)) as copy:
            connections["default"].connection.backup(copy)
        for alias in REPLICAS:
            connections[alias].settings_dict["NAME"] = str(file)
        close_everywhere()

    yield pause
    close_everywhere()
    for alias, name in names.items():
        connections[alias].settings_dict["NAME"] = name


@pytest.fixture
def ada(pause: Callable[[], None]) -> Author:
    """An author whom both replicas have."""
    ada = Author.objects.create(name="Ada")
    pause()
    return ada


@pytest.fixture
def eve(ada: Author) -> Author:
    """An author whom no replica has yet."""
    return Author.objects.create(name="Eve")


# or_primary


def test_a_hit_on_a_replica_is_a_hit(open_request: OpenUnit, ada: Author, asked: Asked) -> None:
    with open_request("GET", "/"):
        assert or_primary(Author.objects).get(name="Ada") == ada
        assert or_primary(Author.objects.filter(name="Ada")).first() == ada
        assert or_primary(Author.objects.filter(name="Ada")).exists()
        assert or_primary(Author.objects).in_bulk([ada.pk]) == {ada.pk: ada}
    assert asked.since() == {"replica": 4}


def test_a_miss_is_asked_of_the_primary(open_request: OpenUnit, ada: Author, eve: Author, asked: Asked) -> None:
    asked.since()
    with open_request("GET", "/"):
        with pytest.raises(Author.DoesNotExist):
            Author.objects.get(name="Eve")
        assert or_primary(Author.objects).get(name="Eve") == eve
        assert or_primary(Author.objects.filter(name="Eve")).first() == eve
        assert or_primary(Author.objects.filter(name="Eve")).exists()
        assert or_primary(Author.objects).in_bulk([ada.pk, eve.pk, -1]) == {ada.pk: ada, eve.pk: eve}
        assert or_primary(Author.objects).filter(name__startswith="E").order_by("name").get() == eve
    assert asked.since() == {"replica": 6, "default": 5}


def test_a_miss_of_both_is_what_it_is_in_django(open_request: OpenUnit, eve: Author, asked: Asked) -> None:
    asked.since()
    with open_request("GET", "/"):
        with pytest.raises(Author.DoesNotExist) as missed:
            or_primary(Author.objects).get(name="Bob")
        assert missed.value.__context__ is None
        assert or_primary(Author.objects.filter(name="Bob")).first() is None
        assert not or_primary(Author.objects.filter(name="Bob")).exists()
        assert or_primary(Author.objects).in_bulk([-1]) == {}
        assert or_primary(Author.objects).in_bulk([]) == {}
    assert asked.since() == {"replica": 4, "default": 4}


def test_more_rows_than_one_are_no_miss(open_request: OpenUnit, pause: Any, asked: Asked) -> None:
    Author.objects.bulk_create([Author(name="Ada"), Author(name="Ada")])
    pause()
    asked.since()
    with open_request("GET", "/"), pytest.raises(Author.MultipleObjectsReturned):
        or_primary(Author.objects).get(name="Ada")
    assert asked.since() == {"replica": 1}


def test_what_is_read_from_the_primary_is_asked_once(open_request: OpenUnit, eve: Author, asked: Asked) -> None:
    asked.since()
    with open_request("GET", "/"), use_primary():
        assert not or_primary(Author.objects.filter(name="Bob")).exists()
    with open_request("POST", "/"), pytest.raises(Author.DoesNotExist):
        or_primary(Author.objects).get(name="Bob")
    assert not or_primary(Author.objects.filter(name="Bob")).exists()
    assert asked.since() == {"default": 3}


def test_in_a_dry_run_the_primary_is_asked_once(open_request: OpenUnit, asked: Asked) -> None:
    dry = {"default": {"REPLICAS": [*REPLICAS], "DRY_RUN": True}}
    with override_settings(GMF_ROUTER=dry), open_request("GET", "/"):
        assert not or_primary(Author.objects.filter(name="Bob")).exists()
    assert asked.since() == {"default": 1}


def test_an_alias_that_was_given_by_hand_is_obeyed(open_request: OpenUnit, eve: Author) -> None:
    with open_request("GET", "/"):
        assert not or_primary(Author.objects.using("replica_1").filter(pk=eve.pk)).exists()


def test_what_came_from_the_primary_is_followed_there(open_request: OpenUnit, eve: Author, asked: Asked) -> None:
    Book.objects.create(title="Apple", author=eve)
    asked.since()
    with open_request("GET", "/"):
        assert or_primary(Author.objects).get(name="Eve").books.get().title == "Apple"
        assert or_primary(eve.books).get(title="Apple").author == eve
        asked.since()
        Author.objects.count()
    assert asked.since() == {"replica": 1}


def test_a_manager_and_a_queryset_stay_as_they_are(open_request: OpenUnit, ada: Author, eve: Author) -> None:
    every = Author.objects.all()
    with open_request("GET", "/"):
        or_primary(every)
        or_primary(or_primary(every))
        assert type(every) is models.QuerySet
        with pytest.raises(Author.DoesNotExist):
            every.get(name="Eve")


def test_what_was_prefetched_stays_as_it_is(open_request: OpenUnit, ada: Author, asked: Asked) -> None:
    Book.objects.create(title="New", author=ada)
    with open_request("GET", "/"):
        author = Author.objects.get(pk=ada.pk)
        prefetch_related_objects([author], "books")
        asked.since()
        assert not author.books.filter(title="New").exists()
        assert or_primary(author.books).get(title="New").title == "New"
        assert type(author.books.all()) is models.QuerySet
        assert list(author.books.all()) == []
    assert asked.since() == {"replica": 2, "default": 1}


def test_a_filter_of_a_many_to_many_manager_means_what_it_means_without(open_request: OpenUnit, pause: Any) -> None:
    tag = Tag.objects.create(name="maps")
    one, other = (Book.objects.create(title=title) for title in ("One", "Other"))
    one.tags.add(tag)
    other.tags.add(tag)
    pause()
    with open_request("GET", "/"):
        book = Book.objects.get(pk=one.pk)
        for title, expected in (("One", True), ("Other", False)):
            assert book.tags.filter(book__title=title).exists() is expected
            assert or_primary(book.tags).filter(book__title=title).exists() is expected


def test_a_queryset_of_the_sites_own_keeps_its_methods(open_request: OpenUnit, eve: Author) -> None:
    class Authors(models.QuerySet[Author]):
        def called(self, name: str) -> Authors:
            return self.filter(name=name)

    with open_request("GET", "/"):
        assert or_primary(Authors(Author)).called("Eve").get() == eve
        assert or_primary(Author.objects.values_list("name")).first() == ("Ada",)
        assert or_primary(Author.objects.values_list("name").filter(name="Eve")).get() == ("Eve",)


def test_it_is_awaited_as_any_queryset(open_request: OpenUnit, eve: Author) -> None:
    async def read() -> tuple[Any, ...]:
        eves = or_primary(Author.objects.filter(name="Eve"))
        return await eves.aget(), await eves.afirst(), await eves.aexists(), await eves.ain_bulk([eve.pk])

    with open_request("GET", "/"):
        assert asyncio.run(read()) == (eve, eve, True, {eve.pk: eve})


def test_it_pickles_with_what_it_found(ada: Author) -> None:
    kept = pickle.loads(pickle.dumps(or_primary(Author.objects)))
    assert [author.name for author in kept] == ["Ada"]
    assert kept.get(name="Ada") == ada


# get_or_create and update_or_create


@pytest.fixture
def reading(open_request: OpenUnit, ada: Author, asked: Asked) -> Iterator[None]:
    """A request that only reads, where replicas have Ada."""
    asked.since()
    with open_request("GET", "/"):
        yield


def test_what_is_there_is_got_from_a_replica(reading: None, ada: Author, asked: Asked) -> None:
    assert Author.objects.get_or_create(name="Ada") == (ada, False)
    assert Author.objects.get_or_create(name__iexact="ADA", defaults={"name": "Ada"}) == (ada, False)
    assert Author.objects.filter(pk=ada.pk).get_or_create(name="Ada") == (ada, False)
    assert Author.objects.get_or_create({"name": "Ada"}, pk=ada.pk) == (ada, False)
    assert Author.objects.update_or_create(pk=ada.pk, defaults={"name": "Ada"}) == (ada, False)
    assert Author.objects.update_or_create({"name": "Ada"}, {"name": "New"}, pk=ada.pk) == (ada, False)
    assert Author.objects.update_or_create(pk=ada.pk) == (ada, False)
    assert asyncio.run(Author.objects.aget_or_create(name="Ada")) == (ada, False)
    assert asyncio.run(Author.objects.aupdate_or_create(name="Ada")) == (ada, False)
    assert "default" not in asked.since()


def test_what_is_not_there_is_created_on_the_primary(reading: None) -> None:
    made, created = Author.objects.get_or_create(name__iexact="BOB", defaults={"name": lambda: "Bob"})
    assert (made.name, created, made._state.db) == ("Bob", True, "default")
    assert Author.objects.get_or_create(name="Bob") == (made, False)
    carl = Author.objects.update_or_create(name="Carl", defaults={"name": "X"}, create_defaults={"name": "Carl"})
    assert (carl[0].name, carl[1]) == ("Carl", True)


def test_what_another_client_made_meanwhile_is_got_from_the_primary(reading: None, asked: Asked) -> None:
    made = Tag.objects.using("default").create(name="new")
    # The write was seen: a request of its own, which has written nothing.
    with unit_of_work():
        assert Tag.objects.get_or_create(name="new") == (made, False)
        asked.since()
        assert Tag.objects.update_or_create(name="new", defaults={"name": "newer"}) == (made, False)
    assert Tag.objects.using("default").get().name == "newer"


def test_of_two_that_the_replica_has_the_primary_knows_which_is_left(pause: Any, open_request: OpenUnit) -> None:
    one, other = Author.objects.create(name="Ada"), Author.objects.create(name="Ada")
    pause()
    one.delete()
    with open_request("GET", "/"):
        assert Author.objects.get_or_create(name="Ada") == (other, False)


@pytest.mark.parametrize(
    "values",
    [
        {"name": "Eve"},
        {"name": lambda: "Eve"},
        {"name": Upper(models.Value("eve"))},
        {"name": "Eve", "id": None},
    ],
    ids=str,
)
def test_what_differs_is_updated_on_the_primary(reading: None, ada: Author, values: Any) -> None:
    values = {**values, **({"id": ada.pk} if "id" in values else {})}
    assert Author.objects.update_or_create(pk=ada.pk, defaults=values) == (ada, False)
    assert Author.objects.using("default").get(pk=ada.pk).name in {"Eve", "EVE"}


def test_a_relation_is_compared_by_its_key(open_request: OpenUnit, pause: Any, asked: Asked) -> None:
    ada, eve = Author.objects.create(name="Ada"), Author.objects.create(name="Eve")
    book = Book.objects.create(title="Atlas", author=ada)
    pause()
    asked.since()
    with open_request("GET", "/"):
        for values in ({"author": ada}, {"author_id": ada.pk}, {"author": ada, "sequel_to": None}):
            assert Book.objects.update_or_create(title="Atlas", defaults=values) == (book, False)
        assert asked.since() == {"replica": 3}
        Book.objects.update_or_create(title="Atlas", defaults={"author": eve})
    assert Book.objects.using("default").get().author == eve


def test_related_managers_ask_the_primary_as_in_django(reading: None, ada: Author, asked: Asked) -> None:
    author = Author.objects.get(pk=ada.pk)
    book, created = author.books.get_or_create(title="Atlas")
    assert (created, book.author_id) == (True, ada.pk)
    assert author.books.get_or_create(title="Atlas") == (book, False)
    tag, created = book.tags.get_or_create(name="maps")
    assert created
    assert book.tags.update_or_create(name="maps", defaults={"name": "atlases"}) == (tag, False)
    assert list(book.tags.values_list("name", flat=True)) == ["atlases"]


def test_a_row_that_cannot_be_created_is_an_error_as_ever(reading: None) -> None:
    tag = Tag.objects.using("default").create(name="maps")
    with unit_of_work(), pytest.raises(IntegrityError):
        Tag.objects.get_or_create(pk=tag.pk + 1, defaults={"name": "maps"})


@pytest.mark.parametrize(
    "around", ["POST", "wrote", "atomic", "use_primary", "use_replica", "by hand", "locked", "outside"]
)
def test_where_the_rules_send_nothing_to_replicas_django_is_as_ever(
    open_request: OpenUnit, ada: Author, asked: Asked, around: str
) -> None:
    with ExitStack() as stack:
        if around != "outside":
            stack.enter_context(open_request("POST" if around in {"POST", "use_replica"} else "GET", "/"))
        if around == "wrote":
            Author.objects.create(name="Zoe")
        blocks = {"atomic": transaction.atomic, "use_primary": use_primary, "use_replica": use_replica}
        if around in blocks:
            stack.enter_context(blocks[around]())
        authors = {"by hand": Author.objects.using("default"), "locked": Author.objects.select_for_update()}
        asked.since()
        if around == "locked":
            stack.enter_context(transaction.atomic())
        assert authors.get(around, Author.objects).get_or_create(name="Ada") == (ada, False)
    assert asked.since() == {"default": 1}


@pytest.mark.parametrize("name", ["nobody", "create_defaults"])
def test_what_is_wrong_is_wrong_as_ever(reading: None, name: str) -> None:
    with pytest.raises(FieldError):
        Author.objects.get_or_create(**{name: 1})
    with pytest.raises(TypeError):
        Author.objects.all()[:1].get_or_create(name="Ada")


def test_a_model_with_receivers_is_saved_as_ever(reading: None, ada: Author) -> None:
    saved: list[Any] = []

    def receive(sender: Any, instance: Any, **kwargs: Any) -> None:
        saved.append(instance)

    post_save.connect(receive, sender=Author)
    try:
        Author.objects.update_or_create(pk=ada.pk, defaults={"name": "Ada"})
    finally:
        post_save.disconnect(receive, sender=Author)
    assert saved == [ada]


def test_a_model_that_saves_in_its_own_way_is_saved_as_ever(
    reading: None, ada: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[Any] = []
    original = Author.save

    def save(author: Author, *args: Any, **kwargs: Any) -> None:
        saved.append(author)
        original(author, *args, **kwargs)

    monkeypatch.setattr(Author, "save", save)
    assert Author.objects.update_or_create(pk=ada.pk, defaults={"name": "Ada"}) == (ada, False)
    assert saved == [ada]


class Library(models.Model):
    """What models of one test only are made of."""

    class Meta:
        app_label = "library"
        abstract = True


@isolate_apps("tests.books")
def test_what_a_model_does_when_it_is_saved_is_seen() -> None:
    class Plain(Library):
        at = models.DateTimeField()
        name = models.CharField(max_length=10)

    class Proxy(Plain):
        class Meta:
            app_label = "library"
            proxy = True

    class Child(Plain):
        more = models.DateField(null=True)

    class Changed(Library):
        at = models.DateTimeField(auto_now=True)

    class ChangedChild(Changed):
        name = models.CharField(max_length=10)

    class File(Library):
        file = models.FileField()

    class Saves(Plain):
        def save(self, *args: Any, **kwargs: Any) -> None:
            super().save(*args, **kwargs)

    class Inner(Plain):
        def _do_update(self, *args: Any) -> bool:
            return bool(super()._do_update(*args))  # type: ignore[misc]

    found = {model.__name__: misses._saves_more(model) for model in (Plain, Proxy, Child)}
    assert found == {"Plain": False, "Proxy": False, "Child": False}
    others = (Changed, ChangedChild, File, Saves, Inner)
    assert [model.__name__ for model in others if not misses._saves_more(model)] == []


@isolate_apps("tests.books")
@pytest.mark.parametrize(
    ("name", "kept", "value", "is_same"),
    [
        ("text", "a", "a", True),
        ("text", "a", "b", False),
        ("number", 1, 1, True),
        ("number", 1, True, False),
        ("number", 1, F("number"), False),
        ("number", None, None, True),
        ("json", 1, True, False),
        ("json", {"a": 1}, {"a": True}, False),
        ("json", {"a": 1}, {"a": 1}, False),
        ("choice", "open", "open", True),
        ("property", "a", "a", False),
        ("id", 1, 1, False),
    ],
)
def test_only_what_is_surely_the_same_is_not_written(name: str, kept: Any, value: Any, is_same: bool) -> None:
    class Row(Library):
        text = models.CharField(max_length=10)
        number = models.IntegerField(null=True)
        json = models.JSONField()
        choice = models.CharField(max_length=10)
        property = "a"

    row = Row(**({} if name == "property" else {name: kept}))
    assert misses._has(row, {name: value}) is is_same


@isolate_apps("tests.books")
def test_a_choice_is_its_value() -> None:
    class State(models.TextChoices):
        OPEN = "open"

    class Row(Library):
        state = models.CharField(max_length=10, choices=State)

    assert misses._has(Row(state="open"), {"state": State.OPEN})


def test_they_are_wrapped_once() -> None:
    wrapped = models.QuerySet.get_or_create
    misses.install()
    assert models.QuerySet.get_or_create is wrapped
    assert wrapped.__name__ == "get_or_create"
    assert wrapped.alters_data  # type: ignore[attr-defined]
