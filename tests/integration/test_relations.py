"""Do objects that were read from a replica, the primary or elsewhere keep working with each other?"""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import connections, router
from django.db.models.query import RawQuerySet
from django.test import override_settings
from django.utils.timezone import now

from django_gmf_router import current_decision, use_primary, use_replica
from django_gmf_router.routing.aliases import RoutedAlias
from tests.books.models import Author, Book, Note, Tag
from tests.conftest import OpenUnit

REPLICAS = {"replica_1", "replica_2"}
pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def replica_book(django_db_setup: Any) -> Book:
    """A book that was read from a replica: the mirror shares the rows, the alias is what counts."""
    return as_if_read_from("replica_1", Book.objects.create(title="Atlas"))


TWO = {"default": {"REPLICAS": ["replica_1"]}, "other": {"REPLICAS": ["replica_2"], "APPS": ["library"]}}


def as_if_read_from(alias: str, instance: Any) -> Any:
    """Return `instance` with what a read through the router leaves in it; `by_hand` with what `.using()` leaves."""
    instance._state.db = RoutedAlias(alias, "default") if alias in REPLICAS else alias
    return instance


def by_hand(alias: str, instance: Any) -> Any:
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


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.usefixtures("unmirrored")
def test_a_write_through_a_generic_relation_goes_to_the_primary(method: str, open_request: OpenUnit) -> None:
    """Here the replicas are no mirrors: a statement on one of their connections would be forbidden."""
    author = as_if_read_from("replica_1", Author.objects.create(name="Mercator"))
    for text in ("old", "gone"):
        Note.objects.create(text=text, about=author)
    with open_request(method) as unit:
        assert author.notes.filter(text="old").update(text="new") == 1
        assert author.notes.filter(text="gone").delete() == (1, {"library.Note": 1})
        assert unit.wrote
        assert [note.text for note in author.notes.all()] == ["new"]
        assert current_decision().reason == ("wrote" if method == "GET" else "write_method")  # type: ignore[union-attr]


@pytest.mark.usefixtures("unmirrored")
def test_a_write_through_a_generic_relation_inside_use_replica_goes_to_the_primary() -> None:
    author = as_if_read_from("replica_1", Author.objects.create(name="Mercator"))
    Note.objects.create(text="gone", about=author)
    with use_replica():
        author.notes.filter(text="gone").delete()
    assert not author.notes.exists()


@pytest.mark.usefixtures("unmirrored")
def test_the_rules_hold_for_what_a_generic_foreign_key_reads(open_request: OpenUnit) -> None:
    author = Author.objects.create(name="Mercator")
    note = Note.objects.create(text="x", about=author)
    for _ in range(3):
        ContentType.objects.clear_cache()
        note = as_if_read_from("replica_1", Note.objects.get())
        with open_request() as unit, use_primary():
            assert note.about.name == "Mercator"
            assert current_decision().reason == "use_primary"  # type: ignore[union-attr]
        note = as_if_read_from("replica_1", Note.objects.get())
        with open_request("POST"):
            assert note.about.name == "Mercator"
            assert current_decision().reason == "write_method"  # type: ignore[union-attr]
        note = as_if_read_from("replica_1", Note.objects.get())
        with open_request() as unit:
            Author.objects.update(name="Mercator")
            assert note.about.name == "Mercator"
            assert unit.wrote
            assert current_decision().reason == "wrote"  # type: ignore[union-attr]


@pytest.mark.usefixtures("unmirrored")
def test_a_content_type_that_is_not_there_yet_is_made_on_the_primary(open_request: OpenUnit) -> None:
    """As after a release, or on a replica that lags: Django makes it where it looked for it."""
    author = as_if_read_from("replica_1", Author.objects.create(name="Mercator"))
    ContentType.objects.filter(app_label="library", model="author").delete()
    ContentType.objects.clear_cache()
    with open_request():
        # Where this request wrote it reads from then on.
        assert author.notes.db == "default"
    assert ContentType.objects.using("default").filter(app_label="library", model="author").exists()
    ContentType.objects.clear_cache()


@pytest.mark.usefixtures("unmirrored")
def test_the_rules_hold_for_the_next_and_the_previous_object(open_request: OpenUnit) -> None:
    first, second = (User.objects.create(username=f"{n}", date_joined=now() + timedelta(n)) for n in range(2))
    as_if_read_from("replica_1", first)
    with open_request("POST"):
        assert first.get_next_by_date_joined() == second
        assert current_decision().reason == "write_method"  # type: ignore[union-attr]


@pytest.mark.usefixtures("unmirrored")
def test_an_object_of_a_replica_is_saved_and_deleted_under_the_alias_that_it_remembers(
    replica_book: Book, open_request: OpenUnit
) -> None:
    with open_request():
        replica_book.title = "Atlas, corrected"
        replica_book.save(using=replica_book._state.db)
        as_if_read_from("replica_2", replica_book).delete(using=RoutedAlias("replica_2", "default"))
    assert not Book.objects.exists()


def test_what_a_query_says_by_hand_is_obeyed(replica_book: Book, open_request: OpenUnit) -> None:
    with open_request("POST"):
        note = by_hand("replica_2", Note(text="x", about=Author.objects.create(name="Mercator")))
        assert Note.objects.using(note._state.db).db == "replica_2"
        assert Author.objects.using("replica_1").db == "replica_1"


@pytest.mark.parametrize("read_from", ["replica_1", "default"])
def test_a_pickled_object_works_in_a_process_without_its_replica(
    read_from: str, replica_book: Book, open_request: OpenUnit
) -> None:
    author = Author.objects.create(name="Mercator")
    note = as_if_read_from(read_from, Note.objects.create(text="x", about=author))
    note = pickle.loads(pickle.dumps(as_if_read_from(read_from, Note.objects.get(pk=note.pk))))
    with override_settings(GMF_ROUTER={}):
        assert note._state.db == "default"
        assert note.about == author
        note.refresh_from_db()
        note.save()
    with open_request():
        assert note.about == author
        note.save()


def test_an_object_whose_alias_is_not_configured_any_more_belongs_to_its_models_cluster(open_request: OpenUnit) -> None:
    """A cache may hold what an older release of the site, or of this package, put there."""
    author = Author.objects.create(name="Mercator")
    book = by_hand("replica_9", Book.objects.create(title="Atlas", author=author))
    with open_request():
        book.refresh_from_db()
        book = by_hand("replica_9", Book.objects.get())
        assert book.author == author
        for first, second in ((book, author), (author, book)):
            assert router.allow_relation(by_hand("replica_9", first), second)
        by_hand("replica_9", book).save()
        assert book._state.db == "default"


def test_an_object_of_another_cluster_does_not_take_the_models_of_this_one_along(open_request: OpenUnit) -> None:
    """Django hands the user as a hint where a note is about to belong to him; the notes' app says where they are."""
    user = User.objects.create(username="mercator")
    with override_settings(GMF_ROUTER=TWO), open_request("POST"):
        assert (router.db_for_write(Note, instance=user), router.db_for_read(Note, instance=user)) == ("other",) * 2
        assert router.db_for_write(User, instance=Note.from_db("other", ["id"], [1])) == "default"
        assert not router.allow_relation(user, Note.from_db("other", ["id"], [1]))


def test_an_object_that_was_loaded_by_hand_from_another_cluster_stays_where_it_is(open_request: OpenUnit) -> None:
    with override_settings(GMF_ROUTER=TWO), open_request("POST"):
        stranger = Author.objects.using("default").create(name="Mercator")
        stranger.save()
        assert stranger._state.db == "default"
        assert router.db_for_read(Book, instance=stranger) == "default"


def test_a_raw_query_without_a_model_is_printed(open_request: OpenUnit) -> None:
    with open_request():
        assert repr(RawQuerySet("SELECT 1")) == "<RawQuerySet: SELECT 1>"


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


def test_an_object_of_an_app_of_no_cluster_decides_nothing(open_request: OpenUnit) -> None:
    """Django asks the next router, and goes where the object is in the end."""
    entry = {"REPLICAS": ["replica_1"], "APPS": ["library"]}
    user = User.from_db("other", ["id"], [1])
    with override_settings(GMF_ROUTER={"default": entry}), open_request("POST"):
        assert (router.db_for_write(Book, instance=user), router.db_for_read(Book, instance=user)) == ("other",) * 2
