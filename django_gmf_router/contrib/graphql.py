"""Does a POST to a GraphQL endpoint only read? A CHOOSER for sites whose API is GraphQL; needs graphql-core."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, RawPostDataException, UnreadablePostError
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

from django_gmf_router.settings.values import Role

LONGEST_BODY = 262_144
"""Bytes of a body that is looked at. A longer one goes by its method, and is left to its view unread."""
LONGEST = 32_768
"""Characters of all documents of a request together; more go by their method."""
MOST_TOKENS = 4_096
"""Of one document, which the view parses too, and then validates: what is done here is a small part of that."""
LONGEST_KEPT = 8_192
"""Characters of a document whose operations are remembered: a site's clients send the same ones again and again."""

FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
UNNAMED = frozenset({None, "", "null"})
"""What clients send as `operationName` where they choose none."""
NOT_TOLD = (
    # No JSON, no GraphQL, nested too deeply, or not as the specifications of GraphQL over HTTP have it.
    *(ValueError, TypeError, KeyError, AttributeError, RecursionError, GraphQLError),
    # Too large, broken off, or read as a stream by the view already: its view meets the same again.
    *(SuspiciousOperation, UnreadablePostError, RawPostDataException),
)


def by_operation(request: HttpRequest) -> Role | None:
    """Return where a request may read: from a replica if all its operations are queries.

    From the primary if one is a mutation. None, which leaves it to the method, for what is no POST of GraphQL, and for
    what it cannot parse: a persisted query, of which only a hash is sent, a subscription.
    """
    if request.method != "POST":
        return None
    try:
        kinds = set(_kinds(request))
    except NOT_TOLD:
        return None
    if OperationType.MUTATION in kinds:
        return Role.PRIMARY
    return Role.REPLICA if kinds == {OperationType.QUERY} else None


def _kinds(request: HttpRequest) -> Iterator[OperationType]:
    """Yield what the operations are that may be executed."""
    # graphene-django prefers what the URL says, others do not look at it: both count.
    in_url = [request.GET] if "query" in request.GET else []
    left = LONGEST
    for sent in (*_sent(request), *in_url):
        names = {sent.get("operationName"), request.GET.get("operationName")} - UNNAMED
        left -= len(sent["query"])
        if left < 0:
            raise ValueError("too much to look at")
        chosen = [kind for name, kind in _operations(sent["query"]) if not names or name in names]
        if not chosen:
            raise ValueError("no such operation")
        yield from chosen


def _sent(request: HttpRequest) -> Iterator[Any]:
    """Yield what a body holds, by the names of the specifications: one operation, or a batch of them."""
    if request.content_type == "application/json":
        yield from _each(_body(request))
    elif request.content_type == "application/graphql":
        yield {"query": _body(request).decode()}
    # Who parses a form chooses what becomes of its files, and sees its errors once: that is for the view to do. It has
    # done so before its resolvers read.
    elif request.content_type in FORMS and hasattr(request, "_post"):
        if "operations" in request.POST:
            yield from _each(request.POST["operations"])
        if "query" in request.POST:
            yield request.POST


def _each(text: str | bytes) -> list[Any]:
    sent = json.loads(text)
    return sent if isinstance(sent, list) else [sent]


def _body(request: HttpRequest) -> bytes:
    # Without a length nobody knows how long it will be.
    if not 0 < int(request.META.get("CONTENT_LENGTH") or 0) <= LONGEST_BODY:
        raise ValueError("too much to look at")
    try:
        return request.body
    except UnreadablePostError:
        # Its view reads it again, and meets this again, in place of a body that was read as a stream.
        request._read_started = False  # type: ignore[attr-defined]
        raise


def _operations(document: str) -> tuple[tuple[str | None, OperationType], ...]:
    """Return the operations of a document: their names, and what they are."""
    return _parsed(document) if len(document) > LONGEST_KEPT else _kept(document)


def _parsed(document: str) -> tuple[tuple[str | None, OperationType], ...]:
    definitions = parse(document, no_location=True, max_tokens=MOST_TOKENS).definitions
    return tuple(
        (each.name.value if each.name else None, each.operation)
        for each in definitions
        if isinstance(each, OperationDefinitionNode)
    )


_kept = lru_cache(maxsize=256)(_parsed)
