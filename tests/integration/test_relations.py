"""Do objects that were read from a replica, the primary or elsewhere keep working with each other?"""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connections, router

from django_gmf_router import current_decision, use_replica
from tests.books.models import Author, Book, Note, Tag
from tests.conftest import OpenUnit

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def replica_book(django_db_setup: Any) -> Book:
    """A book that was read from a replica: the mirror shares the rows, the alias is what counts."""
    return as_if_read_from("replica_1", Book.objects.create(title="Atlas"))


def as_if_read_from(alias: str, instance: Any) -> Any:
    instance._state.db = alias
    return instance


@pytest.mark.parametrize("parent_alias", ["default", "replica_1", "replica_2"])
def test_objects_of_a_replica_are_added_and_set_on_a_relation(replica_book: Book, parent_alias: str) -> None:
    author = as_if_read_from(parent_alias, Author.objects.create(name="Mercator"))
    author.books.add(replica_book)
    assert list(author.books.values_list("title", flat=True)) == ["Atlas"]
    author.books.set([])
    author.books.set([as_if_read_from("replica_2", replica_book)])
    assert author.books.count() == 1


def test_objects_of_a_replica_are_added_to_themselves(replica_book: Book) -> None:
    sequel = as_if_read_from("replica_2", Book.objects.create(title="Atlas II"))
    replica_book.sequels.add(sequel)
    assert list(replica_book.sequels.all()) == [sequel]


def test_objects_of_a_replica_are_added_to_a_generic_relation(replica_book: Book) -> None:
    author = Author.objects.create(name="Mercator")
    other = Author.objects.create(name="Ortelius")
    note = as_if_read_from("replica_1", Note.objects.create(text="x", about=other))
    author.notes.add(note)
    assert list(author.notes.all()) == [note]
    author.notes.set([note])
    assert author.notes.count() == 1


def test_objects_of_a_replica_are_added_to_a_many_to_many_relation(replica_book: Book) -> None:
    tag = as_if_read_from("replica_2", Tag.objects.create(name="maps"))
    replica_book.tags.add(tag)
    assert list(replica_book.tags.all()) == [tag]
    replica_book.tags.set([])
    assert replica_book.tags.count() == 0


def test_an_unsaved_object_is_still_refused(replica_book: Book) -> None:
    with pytest.raises(ValueError, match="isn't saved"):
        Author.objects.create(name="Mercator").books.add(Book(title="not saved"))


def test_an_object_of_another_database_is_still_refused(replica_book: Book) -> None:
    stranger = as_if_read_from("other", replica_book)
    with pytest.raises(ValueError, match="prevents this relation"):
        Author.objects.create(name="Mercator").books.add(stranger)


def test_an_assignment_across_the_cluster_is_allowed_and_writes_nothing(open_request: OpenUnit) -> None:
    author = as_if_read_from("replica_1", Author.objects.create(name="Mercator"))
    with open_request() as unit:
        Book(author=author)
        assert not any(record.wrote for record in unit.records.values())
        router.db_for_read(Book)
        assert current_decision().reason == "read_method"  # type: ignore[union-attr]


def test_a_saved_object_is_the_primarys_and_pickles_with_its_name(replica_book: Book) -> None:
    replica_book.title = "Atlas, corrected"
    replica_book.save()
    assert replica_book._state.db == "default"
    assert type(pickle.loads(pickle.dumps(replica_book))._state.db) is str
    assert type(connections["default"].alias) is str


def test_a_saved_object_refreshes_from_the_primary(open_request: OpenUnit) -> None:
    author = Author.objects.create(name="Mercator")
    with open_request():
        author.refresh_from_db()
        assert current_decision().reason == "instance"  # type: ignore[union-attr]
        list(author.books.all())
        assert current_decision().reason == "instance"  # type: ignore[union-attr]


def test_a_deferred_field_of_an_object_of_the_primary_is_read_there(open_request: OpenUnit) -> None:
    Author.objects.create(name="Mercator")
    with open_request():
        author = Author.objects.using("default").defer("name").get()
        assert author.name == "Mercator"
        assert current_decision().reason == "instance"  # type: ignore[union-attr]


def test_prefetch_after_using_the_primary_stays_on_the_primary(open_request: OpenUnit) -> None:
    book = Book.objects.create(title="Atlas")
    book.tags.add(Tag.objects.create(name="maps"))
    with open_request():
        list(Book.objects.using("default").prefetch_related("tags"))
        assert current_decision().reason == "instance"  # type: ignore[union-attr]


def test_relations_of_what_a_replica_served_are_read_from_that_replica(open_request: OpenUnit) -> None:
    author = Author.objects.create(name="Mercator")
    Book.objects.create(title="Atlas", author=author)
    with open_request():
        read = Book.objects.get()
        assert read.author.name == "Mercator"
        list(read.tags.all())
        list(Book.objects.prefetch_related("tags", "author__notes"))
        decision = current_decision()
        assert decision is not None
        assert (decision.role, decision.reason) == ("replica", "read_method")


def test_an_object_of_another_database_is_saved_and_read_there(open_request: OpenUnit) -> None:
    author = Author.objects.using("other").create(name="stranger")
    with open_request():
        author.name = "still a stranger"
        author.save()
        author.refresh_from_db()
        assert author._state.db == "other"
        assert list(author.books.all()) == []
    assert Author.objects.using("default").count() == 0


def test_unique_checks_of_a_post_read_the_primary(open_request: OpenUnit) -> None:
    Tag.objects.create(name="maps")
    with open_request("POST"):
        with pytest.raises(ValidationError):
            Tag(name="maps").full_clean()
        assert current_decision().reason == "write_method"  # type: ignore[union-attr]


def test_get_or_create_and_select_for_update_use_the_primary_by_themselves(open_request: OpenUnit) -> None:
    with open_request(), use_replica():
        tag, created = Tag.objects.get_or_create(name="maps")
        assert (tag._state.db, created) == ("default", True)
        assert Tag.objects.select_for_update().db == "default"
