"""Are the operations of a GraphQL request told apart, in each form that clients send?"""

from __future__ import annotations

import json
import os
import time
from io import BytesIO
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpRequest, UnreadablePostError
from django.test import RequestFactory, override_settings

if not os.environ.get("CI"):
    pytest.importorskip("graphql", reason="pip install graphql-core")

from django_gmf_router.contrib.graphql import LONGEST, LONGEST_BODY, MOST_TOKENS, by_operation

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
        ([{"query": QUERY}, {"query": BOTH, "operationName": "Nobody"}], None),
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


CLIENTS_MISTAKES = [
    {"query": "[" * 30_000},
    {"query": "{a" * 15_000},
    {"query": "{a}" * 10_000},
    {"query": "{ a(b: [" + "1 " * 15_000 + "]) }"},
    {"query": "#\n" * 15_000 + "{ a }"},
    {"query": '{ a(b: "' + "\\u0041" * 5_000 + '") }'},
    {"query": '{ a(b: """' + "x\n" * 15_000 + '""") }'},
    [{"query": "{ " + f"a{number} " * 1_000 + "}"} for number in range(30)],
    [{"query": "{ a }"}] * 10_000,
    "[" * 200_000,
    "9" * 200_000,
]


@pytest.mark.parametrize("sent", CLIENTS_MISTAKES, ids=lambda sent: str(sent)[:20])
def test_no_client_keeps_a_process_busy_with_it(sent: Any) -> None:
    began = time.process_time()
    posted(sent)
    # A quarter of that was measured at most; what is not bounded takes seconds.
    assert time.process_time() - began < 1


def test_how_much_is_looked_at() -> None:
    assert posted({"query": "{ " + "a " * (MOST_TOKENS - 10) + "}"}) == "replica"
    assert posted({"query": "{ " + "a " * MOST_TOKENS + "}"}) is None
    long = "{ a # " + "x" * (LONGEST // 2) + "\n}"
    assert posted({"query": long}) == "replica"
    assert posted([{"query": long}] * 2) is None
    variables = {"text": "x" * (LONGEST_BODY - 1_000)}
    assert posted({"query": QUERY, "variables": variables}) == "replica"
    assert posted({"query": QUERY, "variables": {"text": "x" * LONGEST_BODY}}) is None


def parsed(request: HttpRequest) -> HttpRequest:
    """Return a request whose form its view, or the check of its CSRF token, has read."""
    assert request.POST is not None
    return request


def test_other_forms_of_a_request() -> None:
    assert posted(QUERY, "application/graphql") == "replica"
    assert posted(MUTATION, "application/graphql") == "primary"
    assert posted(QUERY, "text/plain") is None
    assert by_operation(parsed(RequestFactory().post(URL, {"query": QUERY}))) == "replica"
    urlencoded = "application/x-www-form-urlencoded"
    form = RequestFactory().post(URL, f"query={MUTATION}", content_type=urlencoded)
    assert by_operation(parsed(form)) == "primary"
    operations = json.dumps({"query": MUTATION, "variables": {"file": None}})
    sent = {"operations": operations, "map": '{"0": ["variables.file"]}', "0": SimpleUploadedFile("a", b"a")}
    upload = parsed(RequestFactory().post(URL, sent))
    assert by_operation(upload) == "primary"
    assert upload.FILES["0"].read() == b"a"


@pytest.mark.parametrize(
    ("url", "sent", "answer"),
    [
        # graphene-django takes what the URL says, others what the body says.
        ({"query": MUTATION}, {"query": QUERY}, "primary"),
        ({"query": QUERY}, {"query": MUTATION}, "primary"),
        ({"query": QUERY}, {"query": QUERY}, "replica"),
        ({"query": QUERY}, {}, None),
        ({"operationName": "Trees"}, {"query": BOTH}, "replica"),
        ({"operationName": "Trees"}, {"query": BOTH, "operationName": "Plant"}, "primary"),
        ({"operationName": "Plant"}, {"query": BOTH, "operationName": "Trees"}, "primary"),
        ({"operationName": "null"}, {"query": QUERY, "operationName": ""}, "replica"),
    ],
)
def test_what_is_said_twice_counts_twice(url: dict[str, str], sent: dict[str, str], answer: str | None) -> None:
    request = RequestFactory().post(URL, json.dumps(sent), content_type="application/json", query_params=url)
    assert by_operation(request) == answer


def test_a_form_that_holds_both_is_as_bad_as_its_worse_half() -> None:
    operations = json.dumps({"query": QUERY})
    assert by_operation(parsed(RequestFactory().post(URL, {"operations": operations, "query": QUERY}))) == "replica"
    assert by_operation(parsed(RequestFactory().post(URL, {"operations": operations, "query": MUTATION}))) == "primary"


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_what_is_no_post_is_left_to_its_method(method: str) -> None:
    assert by_operation(RequestFactory().generic(method, URL, QUERY, content_type="application/graphql")) is None


def test_a_body_that_was_read_as_a_stream_is_left_to_its_method() -> None:
    request = RequestFactory().post(URL, json.dumps({"query": QUERY}), content_type="application/json")
    request.read()
    assert by_operation(request) is None


def test_a_body_is_there_for_its_view_whichever_way_it_reads_it() -> None:
    sent = json.dumps({"query": QUERY})
    for read in (lambda request: request.read(), lambda request: request.body, b"".join):
        request = RequestFactory().post(URL, sent, content_type="application/json")
        assert by_operation(request) == "replica"
        assert read(request) == sent.encode()


def test_a_form_that_nobody_has_read_is_not_read() -> None:
    request = RequestFactory().post(URL, {"query": QUERY})
    assert by_operation(request) is None
    request.upload_handlers = []  # Django refuses it once the form is read.
    assert request.read()


@pytest.mark.parametrize("length", ["", "many", str(LONGEST_BODY + 1), "-1"])
def test_a_body_whose_length_is_not_known_or_large_is_left_unread(length: str) -> None:
    request = RequestFactory().post(URL, QUERY, content_type="application/graphql", CONTENT_LENGTH=length)
    assert by_operation(request) is None
    assert "_body" not in vars(request)
    assert not request._read_started


@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=20)
def test_what_the_site_finds_too_large_is_for_its_view_to_meet() -> None:
    request = RequestFactory().post(URL, QUERY, content_type="application/graphql")
    for _ in range(2):
        assert by_operation(request) is None
        with pytest.raises(RequestDataTooBig):
            assert request.body


@override_settings(DATA_UPLOAD_MAX_NUMBER_FIELDS=1)
def test_a_url_with_too_much_in_it_says_nothing() -> None:
    assert by_operation(RequestFactory().post(f"{URL}?a=1&b=2", QUERY, content_type="application/graphql")) is None


def test_a_client_that_goes_away_is_for_the_view_to_meet() -> None:
    class Gone(BytesIO):
        def read(self, *args: Any) -> bytes:
            raise ConnectionResetError

    given = {"wsgi.input": Gone(), "CONTENT_LENGTH": "10"}
    request = RequestFactory().post(URL, QUERY, content_type="application/graphql", **given)
    assert [by_operation(request), by_operation(request)] == [None, None]
    with pytest.raises(UnreadablePostError):
        assert request.body
