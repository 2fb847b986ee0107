"""Does a transaction on the primary send reads there, and whose does not?"""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, connections, router, transaction
from django.test import Client, TestCase

from django_gmf_router import current_decision
from django_gmf_router.testing import assert_routed_to
from tests.books.models import Book
from tests.conftest import OpenUnit


def read() -> str:
    router.db_for_read(Book)
    decision = current_decision()
    assert decision is not None
    return decision.reason


@pytest.mark.django_db(transaction=True)
def test_a_get_that_opens_a_transaction_reads_the_primary_inside(looks: Any) -> None:
    assert [look["reason"] for look in looks("/atomic")] == ["atomic", "read_method"]


@pytest.mark.django_db
def test_the_transactions_of_a_test_case_do_not_count(looks: Any) -> None:
    assert [look["reason"] for look in looks("/atomic")] == ["atomic", "read_method"]
    assert {look["reason"] for look in looks("/where")} == {"read_method"}


@pytest.mark.django_db(transaction=True)
def test_the_transaction_of_atomic_requests_does_not_count_but_one_inside_does(
    looks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert {look["reason"] for look in looks("/where")} == {"read_method"}
    assert [look["reason"] for look in looks("/atomic")] == ["atomic", "read_method"]


@pytest.mark.django_db
def test_atomic_requests_inside_a_test_case_does_not_count_either(looks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert {look["reason"] for look in looks("/where")} == {"read_method"}
    assert [look["reason"] for look in looks("/atomic")] == ["atomic", "read_method"]


@pytest.mark.django_db(transaction=True)
def test_a_view_that_atomic_requests_leaves_alone_has_transactions_that_count(
    looks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert [look["reason"] for look in looks("/not-atomic")] == ["atomic", "read_method"]


@pytest.mark.django_db(transaction=True)
def test_a_write_inside_atomic_requests_is_read_back(looks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert [look["reason"] for look in looks("/write")] == ["read_method", "wrote"]


@pytest.mark.django_db(transaction=True)
def test_views_are_not_marked_so_that_threads_cannot_race_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import urls

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    before = dict(vars(urls.where))
    Client().get("/where")
    assert vars(urls.where) == before


@pytest.mark.django_db(transaction=True)
def test_a_transaction_by_hand_counts(open_request: OpenUnit) -> None:
    with open_request():
        assert read() == "read_method"
        transaction.set_autocommit(False)
        try:
            assert read() == "atomic"
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)
        assert read() == "read_method"


@pytest.mark.django_db
def test_looking_for_a_transaction_opens_no_connection(open_request: OpenUnit) -> None:
    seen: list[Any] = []

    def work() -> None:
        with open_request():
            read()
            read()
        seen.append(connections["default"].connection)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_transaction_on_another_alias_does_not_count(open_request: OpenUnit) -> None:
    with open_request(), transaction.atomic(using="other"):
        assert read() == "read_method"


class SiteTest(TestCase):
    """A site's own test, as Django's users write them."""

    def test_a_test_case_sees_its_rows_through_the_replicas(self) -> None:
        Book.objects.create(title="Atlas")
        with assert_routed_to("replica"):
            self.assertEqual(self.client.get("/books").content, b"1")

    def test_the_reason_of_a_transaction_is_seen(self) -> None:
        with assert_routed_to("primary", reason="atomic"):
            self.client.get("/atomic")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/atomic-while-rendering", "/atomic-while-streaming"])
def test_with_atomic_requests_a_transaction_after_the_view_counts(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    response: Any = Client().get(path)
    body = b"".join(response) if response.streaming else response.content
    assert body.split() == [b"atomic", b"read_method"]
