"""Do blocks decorate what REST framework and Django have of views: classes, actions, functions, awaited or lazy?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from rest_framework.response import Response

from django_gmf_router import use_primary
from tests.apis import rest
from tests.books.models import Author
from tests.conftest import OpenUnit
from tests.unit.docs.running import run_example

pytestmark = [
    pytest.mark.usefixtures("unmirrored", "rest_site"),
    pytest.mark.django_db(databases="__all__", transaction=True),
]
PRIMARY, REPLICA, READS, WRITES = "use_primary", "use_replica", "read_method", "write_method"


@pytest.fixture
def rest_site(routed: Any) -> Iterator[None]:
    with routed():
        yield


def answered(path: str, method: str = "get") -> Any:
    """Where authentication, view and renderer read."""
    response = getattr(Client(), method)(f"/api/{path}")
    assert response.status_code == 200, response.content
    return response.json()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("Api", READS),
        ("FromPrimary", PRIMARY),
        ("Inherits", PRIMARY),
        ("FromReplicaAfterAll", REPLICA),
        ("Twice", REPLICA),
    ],
)
def test_a_block_on_a_class_is_around_all_that_it_answers(path: str, reason: str) -> None:
    assert answered(path) == [reason, reason, reason]
    # A base is as it was, whatever was made of it.
    assert answered("Api") == [READS, READS, READS]
    assert answered("FromPrimary", "post") == [PRIMARY, PRIMARY, PRIMARY]


@pytest.mark.parametrize(
    ("name", "actions", "method", "reason"),
    [
        ("Balance", None, "GET", PRIMARY),
        ("OrderViewSet", {"post": "search"}, "POST", REPLICA),
        ("search", None, "POST", REPLICA),
    ],
)
def test_what_the_page_decorates_reads_as_its_block_says(
    open_request: OpenUnit, name: str, actions: dict[str, str] | None, method: str, reason: str
) -> None:
    look = "return Response(reason())"
    page = run_example(
        "docs/how-to/graphql-and-rest.md", "OrderViewSet", dots=look, Response=Response, reason=rest.reason
    )
    view = page[name].as_view(*filter(None, [actions])) if name != "search" else page[name]
    request = RequestFactory().generic(method, "/")
    with open_request(method, "/"):
        assert view(request).data == reason


def test_a_block_on_a_method_is_inside_that_of_its_class() -> None:
    assert answered("MethodSaysOtherwise") == [REPLICA, PRIMARY, PRIMARY]
    assert answered("MethodSaysOtherwise", "post") == [REPLICA, REPLICA, REPLICA]


def test_a_dispatch_of_a_class_that_inherits_is_outside_of_the_block_of_its_base() -> None:
    response = Client().get("/api/Overrides")
    assert (response["Before"], response.json()) == (READS, [PRIMARY, PRIMARY, PRIMARY])
    response = Client().get("/api/OverridesToo")
    assert (response["Before"], response.json()) == (REPLICA, [REPLICA, REPLICA, REPLICA])


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("places/", "get", [READS, READS, READS]),
        ("places/7/", "get", [READS, PRIMARY, PRIMARY]),
        ("places/", "post", [WRITES, REPLICA, REPLICA]),
        ("places/inner/", "get", [READS, PRIMARY, PRIMARY]),
        ("places/outer/", "get", [READS, PRIMARY, PRIMARY]),
        ("places/outer/", "post", [WRITES, PRIMARY, PRIMARY]),
        ("places/mapped/", "get", [READS, READS, READS]),
        ("places/mapped/", "post", [WRITES, REPLICA, REPLICA]),
        ("all/places", "get", [PRIMARY, PRIMARY, PRIMARY]),
        ("all/places/7", "get", [PRIMARY, PRIMARY, PRIMARY]),
        ("all/places", "post", [PRIMARY, REPLICA, REPLICA]),
    ],
)
def test_an_action_of_a_viewset_is_decorated_as_a_method(path: str, method: str, expected: list[str]) -> None:
    assert answered(path, method) == expected


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_function_is_decorated_above_or_below_api_view(method: str) -> None:
    assert answered("outer", method) == [PRIMARY, PRIMARY, PRIMARY]
    by_method = READS if method == "get" else WRITES
    assert answered("inner", method) == [by_method, PRIMARY, PRIMARY]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("Asynchronous", READS),
        ("AsynchronousFromPrimary", PRIMARY),
        ("Lazy", READS),
        ("LazyFromPrimary", PRIMARY),
        ("LazyFromReplicaAfterAll", REPLICA),
    ],
)
def test_classes_of_django_that_are_awaited_or_render_later(path: str, reason: str) -> None:
    async def awaited() -> bytes:
        return bytes((await AsyncClient().get(f"/api/{path}")).content)

    assert Client().get(f"/api/{path}").content.decode() == reason
    assert asyncio.run(awaited()).decode() == reason


def test_a_generic_view_reads_while_its_template_renders() -> None:
    Author.objects.create(name="Ada")
    assert Client().get("/books").content == b"0 replica read_method"
    assert Client().get("/books/primary").content == b"0 primary use_primary"


def test_the_browsable_api_renders_where_its_view_reads() -> None:
    Author.objects.create(pk=7, name="Ada")
    with CaptureQueriesContext(connections["default"]) as primary:
        page = Client().get("/api/Browsable", headers={"accept": "text/html"})
    assert b"Author object (7)" in page.content
    # What the list says, and what the form offers.
    asked = " ".join(query["sql"] for query in primary.captured_queries)
    assert 'FROM "library_book"' in asked
    assert 'FROM "library_author"' in asked


def test_a_class_without_a_dispatch_is_refused() -> None:
    with pytest.raises(TypeError, match=r"no dispatch\(\)"):
        use_primary()(type("Plain", (), {}))
