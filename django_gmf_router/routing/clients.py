"""Whose reads are these: which clients do replicas serve, and WHAT must theirs be able to read at least?"""

from __future__ import annotations

import hashlib
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.http import HttpRequest

from django_gmf_router.consistency.tokens import Token
from django_gmf_router.replicas.pool import Wanted
from django_gmf_router.routing.unit_of_work import Blocks, UnitOfWork, is_eventual
from django_gmf_router.settings.values import ClusterConfig

if TYPE_CHECKING:
    from django_gmf_router.consistency.stores import Store


class Client(NamedTuple):
    """For whom a replica is picked."""

    wanted: Wanted | None = None
    """What it must be able to read; None: anything."""
    key: str | None = None
    """Who it is, for a stable balancer: its session or what it sends as its token."""


def key_of(request: HttpRequest) -> str:
    """Return who the client of a request is: its session, else its address."""
    return str(request.COOKIES.get(settings.SESSION_COOKIE_NAME) or request.META.get("REMOTE_ADDR") or "")


def is_in_share(key: str, share: float) -> bool:
    """Return whether a client is in this part of all clients: the same one always, and in each larger part too."""
    if share >= 1:
        return True
    digest = hashlib.blake2b(key.encode(errors="replace"), digest_size=8, person=b"gmf_share").digest()
    return int.from_bytes(digest, "big") < share * 2**64


def client_of(unit: UnitOfWork, blocks: Blocks, config: ClusterConfig, store: Store) -> Client:
    """Return what the client of `unit` must be able to read inside `blocks`, and who it is."""
    # Who says read_after() means it inside an eventual block, too: only what the client brought is relaxed there.
    found = [block.token for block in blocks]
    # What a job was given it asked for, whatever the clients of the site are promised.
    if (config.consistency.level == "session" or unit.name is not None) and not is_eventual(blocks):
        found.append(token_of(unit, store))
    key = None
    if config.balancer == "stable" and unit.request is not None:
        key = unit.request.COOKIES.get(settings.SESSION_COOKIE_NAME) or store.read(unit.request)
    tokens = [token for token in found if token is not None]
    if tokens and (mark := (token := reduce(Token.merged, tokens)).mark(config.primary)) is not None:
        return Client(Wanted(mark=mark, time=token.time), key)
    return Client(None, key)


def token_of(unit: UnitOfWork, store: Store) -> Token | None:
    """Return the token that the client of `unit` brought; verified once."""
    tokens = unit.tokens = {} if unit.tokens is None else unit.tokens
    if store not in tokens:
        tokens[store] = None if unit.request is None else store.token_of(unit.request)
    return tokens[store]
