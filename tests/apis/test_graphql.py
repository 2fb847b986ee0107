"""Do GraphQL's queries read from replicas, with the views of the libraries that Django sites have?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client, RequestFactory, override_settings

from tests.apis import examples
from tests.books.models import Author

pytestmark = [
    pytest.mark.usefixtures("unmirrored", "graphql_site"),
    pytest.mark.django_db(databases="__all__", transaction=True),
]
CHOOSER = "django_gmf_router.contrib.graphql.by_operation"
QUERY = "query Look { seen }"
MUTATION = "mutation Plant { plant { seen } }"
REPLICA = "replica chooser"
PRIMARY = "primary chooser, primary chooser"
BOTH = f"{QUERY} {MUTATION}"
VIEWS = ["/graphene", "/strawberry", "/strawberry/async"]
SYNC_VIEWS = ["/graphene", "/strawberry"]


@pytest.fixture
def graphql_site(routed: Any) -> Iterator[None]:
    with routed(CHOOSER=CHOOSER):
        yield


def post(path: str, sent: Any, **kwargs: Any) -> Any:
    kwargs = {"content_type": "application/json", **kwargs}
    if path.endswith("/async"):
        return asyncio.run(AsyncClient().post(path, sent, **kwargs))
    return Client().post(path, sent, **kwargs)


def data(response: Any) -> Any:
    found = response.json()
    assert response.status_code == 200, found
    assert "errors" not in found, found
    return found["data"]


def role(response: Any) -> str:
    """Return the role and reason of the last decision."""
    return str(response.headers["X-GMF-Database"]).replace("_1", "").replace("_2", "")


@pytest.mark.parametrize("path", VIEWS)
def test_a_query_reads_from_a_replica(path: str) -> None:
    response = post(path, {"query": QUERY})
    assert data(response) == {"seen": REPLICA}
    assert role(response) == "replica; reason=chooser"


def test_a_query_of_a_model_reads_from_a_replica(routed: Any) -> None:
    Author.objects.create(name="Ada")
    response = post("/strawberry", {"query": "{ authors { name } }"})
    assert data(response) == {"authors": [{"name": "Ada"}]}
    assert role(response) == "replica; reason=chooser"


@pytest.mark.parametrize("path", VIEWS)
def test_a_mutation_reads_from_the_primary(path: str) -> None:
    assert data(post(path, {"query": MUTATION})) == {"plant": {"seen": PRIMARY}}


@pytest.mark.parametrize("path", VIEWS)
@pytest.mark.parametrize(("name", "expected"), [("Look", {"seen": REPLICA}), ("Plant", {"plant": {"seen": PRIMARY}})])
def test_of_several_operations_the_one_that_is_named_counts(path: str, name: str, expected: Any) -> None:
    response = post(path, {"query": BOTH, "operationName": name})
    assert data(response) == expected
    assert role(response) == ("replica; reason=chooser" if name == "Look" else "default; reason=chooser")


@pytest.mark.parametrize("path", ["/graphene/batch", "/strawberry/batch"])
def test_a_batch_is_read_from_a_replica_where_all_of_it_are_queries(path: str) -> None:
    found = post(path, [{"query": QUERY}, {"query": "{ seen }"}])
    assert [each["data"] for each in found.json()] == [{"seen": REPLICA}] * 2
    assert role(found) == "replica; reason=chooser"
    found = post(path, [{"query": QUERY}, {"query": MUTATION}])
    assert [each["data"] for each in found.json()] == [{"seen": "primary chooser"}, {"plant": {"seen": PRIMARY}}]
    assert role(found) == "default; reason=chooser"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/graphene", "fragment F on GrapheneQuery { seen } query { ...F }"),
        ("/strawberry", "fragment F on StrawberryQuery { seen } query { ...F }"),
        ("/graphene", "{ nested { nested { seen } } }"),
        ("/strawberry", "{ nested { name } }"),
    ],
)
def test_fragments_and_what_is_nested_are_read_from_a_replica(path: str, query: str) -> None:
    response = post(path, {"query": query})
    assert REPLICA in str(data(response))
    assert role(response) == "replica; reason=chooser"


def test_an_upload_is_a_mutation_whose_file_its_view_gets() -> None:
    operations = {"query": "mutation ($file: Upload!) { upload(file: $file) }", "variables": {"file": None}}
    sent = {
        "operations": json.dumps(operations),
        "map": '{"0": ["variables.file"]}',
        "0": SimpleUploadedFile("a.txt", b"sent"),
    }
    assert data(Client().post("/strawberry", sent)) == {"upload": "primary chooser sent"}


@pytest.mark.parametrize("kind", ["multipart", "urlencoded"])
def test_a_form_is_looked_at_once_its_view_has_read_it(kind: str) -> None:
    kwargs = {} if kind == "multipart" else {"content_type": "application/x-www-form-urlencoded"}
    sent: Any = {"query": QUERY} if kind == "multipart" else f"query={QUERY}"
    response = Client().post("/graphene", sent, **kwargs)
    assert (data(response), role(response)) == ({"seen": REPLICA}, "replica; reason=chooser")


def test_what_the_url_says_counts_for_the_library_that_executes_it() -> None:
    response = Client().post(
        "/graphene", {"query": QUERY}, content_type="application/json", query_params={"query": MUTATION}
    )
    assert data(response) == {"plant": {"seen": PRIMARY}}


@pytest.mark.parametrize("path", VIEWS)
@pytest.mark.parametrize(
    "sent",
    [
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab" * 32}}},
        {"query": "query {"},
        {"query": BOTH, "operationName": "Nobody"},
        "{",
        [],
    ],
    ids=str,
)
def test_what_cannot_be_parsed_goes_by_its_method_and_is_its_views_to_refuse(path: str, sent: Any, routed: Any) -> None:
    found = post(path, sent)
    assert role(found) == "default; reason=write_method"
    with routed(CHOOSER=None):
        without = post(path, sent)
    assert (found.status_code, found.content) == (without.status_code, without.content)


@pytest.mark.parametrize("path", SYNC_VIEWS)
def test_a_query_by_get_is_a_get(path: str) -> None:
    response = Client().get(path, {"query": QUERY})
    assert (data(response), role(response)) == ({"seen": "replica read_method"}, "replica; reason=read_method")
    assert Client().get(path, {"query": MUTATION}).status_code in {400, 405}


def test_a_subscription_goes_by_its_method() -> None:
    async def body() -> tuple[str, str]:
        sent, accept = {"query": "subscription { grown }"}, "text/event-stream"
        response = await AsyncClient().post(
            "/strawberry/async", sent, content_type="application/json", headers={"accept": accept}
        )
        return "".join([part.decode() async for part in response.streaming_content]), response.headers["X-GMF-Database"]

    text, header = asyncio.run(body())
    assert "primary write_method" in text
    assert header == "default; reason=write_method"


@pytest.mark.parametrize("path", SYNC_VIEWS)
def test_a_query_whose_resolver_writes_is_warned_of(path: str, caplog: pytest.LogCaptureFixture) -> None:
    response = post(path, {"query": "{ lie }"})
    assert data(response) == {"lie": "replica chooser, primary wrote"}
    assert Author.objects.using("default").filter(name="written").exists()
    (warning,) = [record for record in caplog.records if record.name == "django_gmf_router"]
    assert vars(warning)["event"] == "unexpected_write"
    assert f'append(r"POST {path}$")' in warning.getMessage()


@pytest.mark.parametrize("path", SYNC_VIEWS)
def test_the_check_of_the_csrf_token_leaves_the_body_alone(path: str) -> None:
    from django.conf import settings

    csrf = "django.middleware.csrf.CsrfViewMiddleware"
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, csrf]):
        client = Client(enforce_csrf_checks=True)
        sent = {"query": QUERY}
        kwargs = {"content_type": "application/json"}
        assert client.post(f"{path}/checked", sent, **kwargs).status_code == 403
        client.cookies["csrftoken"] = token = "t" * 32
        response = client.post(f"{path}/checked", sent, **kwargs, headers={"x-csrftoken": token})
        assert data(response) == {"seen": REPLICA}
        form = client.post("/graphene/checked", {"query": QUERY, "csrfmiddlewaretoken": token})
        assert data(form) == {"seen": REPLICA}


@pytest.mark.parametrize("path", SYNC_VIEWS)
def test_who_is_logged_in_is_read_before_the_body_and_goes_with_it(path: str) -> None:
    client = Client()
    client.force_login(User.objects.create(username="ada"))
    response = client.post(f"{path}/login", {"query": QUERY}, content_type="application/json")
    assert data(response) == {"seen": REPLICA}


@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10)
@pytest.mark.parametrize("path", [*VIEWS, "/body-later"])
def test_a_body_that_is_too_large_is_its_views_to_refuse(path: str, routed: Any, caplog: Any) -> None:
    found = post(path, {"query": QUERY})
    assert [vars(record).get("event") for record in caplog.records if record.name == "django_gmf_router"] == []
    with routed(CHOOSER=None):
        without = post(path, {"query": QUERY})
    assert (found.status_code, found.content) == (without.status_code, without.content)
    assert found.status_code in {400, 413}


def test_a_view_that_reads_its_body_last_finds_it() -> None:
    sent = json.dumps({"query": QUERY})
    response = Client().post("/body-later", sent, content_type="application/json")
    assert response.content.decode() == f"{REPLICA} {len(sent)}"


@pytest.mark.parametrize(
    ("chooser", "path", "sent", "expected"),
    [
        ("by_operation_of_the_api", "/graphql", {"query": QUERY}, "replica"),
        ("by_operation_of_the_api", "/search", {"query": QUERY}, None),
        ("by_document", "/graphql", {"extensions": {"persistedQuery": {"sha256Hash": "8f0b3c"}}}, "replica"),
        ("by_document", "/graphql", {"extensions": {"persistedQuery": {"sha256Hash": "another"}}}, None),
        ("by_document", "/graphql", {"query": MUTATION}, "primary"),
        ("by_document", "/search", {"extensions": {"persistedQuery": {"sha256Hash": "8f0b3c"}}}, None),
    ],
)
def test_the_choosers_of_the_page(chooser: str, path: str, sent: Any, expected: str | None) -> None:
    request = RequestFactory().post(path, sent, content_type="application/json")
    assert getattr(examples, chooser)(request) == expected
