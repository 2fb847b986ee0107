"""Are the operations of a GraphQL request told apart, in each form that clients send?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import RequestFactory

from django_gmf_router.contrib.graphql import LONGEST, by_operation

QUERY = "query Trees { trees { name } }"
MUTATION = 'mutation Plant { plant(name: "oak") { id } }'
BOTH = f"{QUERY} {MUTATION}"
URL = "/graphql"


def posted(sent: Any, content_type: str = "application/json") -> Any:
    body = sent if isinstance(sent, str | bytes) else json.dumps(sent)
    return by_operation(RequestFactory().post(URL, body, content_type=content_type))


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ({"query": QUERY}, "replica"),
        ({"query": "{ trees { name } }"}, "replica"),
        ({"query": MUTATION}, "primary"),
        ({"query": BOTH, "operationName": "Trees"}, "replica"),
        ({"query": BOTH, "operationName": "Plant"}, "primary"),
        ({"query": BOTH}, "primary"),
        ({"query": "fragment F on Tree { name } query Q { trees { ...F } }"}, "replica"),
        ({"query": '# mutation\nquery { trees(name: "mutation") { id } }'}, "replica"),
        ([{"query": QUERY}, {"query": QUERY}], "replica"),
        ([{"query": QUERY}, {"query": MUTATION}], "primary"),
        ({"query": "subscription { grown { id } }"}, None),
        ([{"query": QUERY}, {"query": "subscription { grown { id } }"}], None),
        ({"query": BOTH, "operationName": "Nobody"}, None),
        ({"query": "query {"}, None),
        ({"query": ""}, None),
        ({"query": None}, None),
        ({"query": 7}, None),
        ({"query": "fragment F on Tree { name }"}, None),
        ({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab"}}}, None),
        ({"documentId": "7"}, None),
        ([], None),
        ("[", None),
        ("7", None),
        (b"\xff", None),
        ({"query": "{ " + "a " * LONGEST + "}"}, None),
        ({"query": "{" * 30_000}, None),
    ],
)
def test_an_operation_says_where_it_may_read(sent: Any, answer: str | None) -> None:
    assert posted(sent) == answer


def test_other_forms_of_a_request() -> None:
    assert posted(QUERY, "application/graphql") == "replica"
    assert posted(MUTATION, "application/graphql") == "primary"
    form = RequestFactory().post(URL, {"query": QUERY})
    assert by_operation(form) == "replica"
    operations = json.dumps({"query": MUTATION, "variables": {"file": None}})
    assert by_operation(RequestFactory().post(URL, {"operations": operations, "map": "{}"})) == "primary"


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_what_is_no_post_is_left_to_its_method(method: str) -> None:
    assert by_operation(RequestFactory().generic(method, URL, QUERY, content_type="application/graphql")) is None


def test_a_body_that_was_read_as_a_stream_is_left_to_its_method() -> None:
    request = RequestFactory().post(URL, json.dumps({"query": QUERY}), content_type="application/json")
    request.read()
    assert by_operation(request) is None
