"""Do the tests of a site just work: TestCase, TransactionTestCase, LiveServerTestCase, undeclared replicas?"""

from __future__ import annotations

import warnings
from typing import Any
from urllib.request import urlopen

import pytest
from django.test import LiveServerTestCase, TestCase, TransactionTestCase

from django_gmf_router import current_decision, use_primary
from django_gmf_router.testing import assert_routed_to
from tests.books.models import Book
from tests.conftest import OpenUnit


class RowsOfATestCase(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        Book.objects.create(title="Atlas")

    def test_rows_are_seen_and_no_replica_has_to_be_declared(self) -> None:
        with assert_routed_to("replica") as seen:
            self.assertEqual(self.client.get("/books").content, b"1")
        self.assertIn(seen.decisions[-1].alias, {"replica_1", "replica_2"})


class RowsOfATransactionTestCase(TransactionTestCase):
    def test_rows_are_seen(self) -> None:
        Book.objects.create(title="Atlas")
        with assert_routed_to("replica"):
            self.assertEqual(self.client.get("/books").content, b"1")


class RowsOfALiveServerTestCase(LiveServerTestCase):
    def test_rows_are_seen_by_the_servers_threads(self) -> None:
        Book.objects.create(title="Atlas")
        with assert_routed_to("replica"), urlopen(f"{self.live_server_url}/books") as response:
            self.assertEqual(response.read(), b"1")


@pytest.mark.django_db
def test_relations_of_what_a_mirrored_replica_served_stay_with_the_replica(open_request: OpenUnit) -> None:
    Book.objects.create(title="Atlas")
    with open_request():
        book = Book.objects.get()
        assert book._state.db == "default"
        list(book.tags.all())
        assert current_decision().role == "replica"  # type: ignore[union-attr]


@pytest.mark.django_db
def test_an_object_of_a_mirrored_replica_can_be_added_and_saved(open_request: OpenUnit) -> None:
    Book.objects.create(title="Atlas")
    with open_request():
        book, sequel = Book.objects.get(), Book.objects.get()
        book.sequels.add(sequel)
        book.save()
        list(book.tags.all())
        assert current_decision().reason == "wrote"  # type: ignore[union-attr]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "role", "reason"),
    [
        ("/where", "primary", None),
        ("/s/x", "replica", None),
        ("/where", "replica", "atomic"),
        ("/nowhere", "replica", None),
    ],
)
def test_the_assertion_fails_and_says_what_was_seen(client: Any, path: str, role: str, reason: str | None) -> None:
    with pytest.raises(AssertionError) as error, assert_routed_to(role, reason=reason):
        client.get(path)
    assert "Expected the" in str(error.value)
    if path == "/nowhere":
        assert "no read was routed" in str(error.value)


@pytest.mark.django_db
def test_the_assertion_does_not_hide_an_exception_of_its_block() -> None:
    with pytest.raises(ZeroDivisionError), assert_routed_to("replica"):
        raise ZeroDivisionError


def test_the_assertion_refuses_an_unknown_role() -> None:
    with pytest.raises(ValueError, match="'primary' or 'replica'"):
        assert_routed_to("slave")


def test_an_assertion_that_was_never_entered_says_that_it_checks_nothing() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert_routed_to("replica")
    assert "checks nothing" in str(caught[0].message)


@pytest.mark.django_db
def test_the_assertion_sees_reads_outside_requests() -> None:
    with assert_routed_to("primary", reason="outside_request"):
        Book.objects.count()
    with use_primary(), assert_routed_to("primary", reason="use_primary"):
        Book.objects.count()
