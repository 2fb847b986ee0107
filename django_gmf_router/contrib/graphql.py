"""Does a POST to a GraphQL endpoint only read? A CHOOSER for sites whose API is GraphQL; needs graphql-core."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, RawPostDataException
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

from django_gmf_router.settings.values import Role

LONGEST = 65_536
"""Characters of a document that is looked at; a longer one goes by its method."""


def by_operation(request: HttpRequest) -> Role | None:
    """Return where a request may read: from a replica if all its operations are queries.

    From the primary if one is a mutation. None, which leaves it to the method, for what is no POST of GraphQL, and for
    what it cannot parse: a persisted query, of which only a hash is sent, a subscription.
    """
    if request.method != "POST":
        return None
    try:
        kinds = {kind for document, name in _documents(request) for kind in _kinds(document, name)}
    except (ValueError, TypeError, KeyError, AttributeError, GraphQLError, RawPostDataException, RecursionError):
        return None
    if OperationType.MUTATION in kinds:
        return Role.PRIMARY
    return Role.REPLICA if kinds == {OperationType.QUERY} else None


def _documents(request: HttpRequest) -> Iterator[tuple[str, str | None]]:
    """Yield the documents of a request, one or a batch, each with the name of the operation that is to be executed."""
    if request.content_type == "application/graphql":
        yield request.body.decode(), request.GET.get("operationName")
        return
    if request.content_type == "application/json":
        sent: Any = json.loads(request.body)
    elif request.content_type == "multipart/form-data":
        # GraphQL multipart request specification: files beside the operations.
        sent = json.loads(request.POST["operations"])
    else:
        sent = request.POST.dict()
    for each in sent if isinstance(sent, list) else [sent]:
        yield each["query"], each.get("operationName")


def _kinds(document: str, name: str | None) -> Iterator[OperationType]:
    operations = _operations(document) if 0 < len(document) <= LONGEST else ()
    chosen = [kind for each, kind in operations if name is None or each == name]
    if not chosen:
        raise ValueError("no such operation")
    yield from chosen


@lru_cache(maxsize=256)
def _operations(document: str) -> tuple[tuple[str | None, OperationType], ...]:
    definitions = parse(document, no_location=True, max_tokens=LONGEST // 8).definitions
    return tuple(
        (each.name.value if each.name else None, each.operation)
        for each in definitions
        if isinstance(each, OperationDefinitionNode)
    )
