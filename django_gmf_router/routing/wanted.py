"""WHAT must the client of a unit of work be able to read at least, and who is it?"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from django.conf import settings

from django_gmf_router.consistency.tokens import Token
from django_gmf_router.replicas.pool import Wanted
from django_gmf_router.routing.clients import Client
from django_gmf_router.routing.unit_of_work import Blocks, UnitOfWork, is_eventual
from django_gmf_router.settings.values import ClusterConfig

if TYPE_CHECKING:
    from django_gmf_router.consistency.stores import Store


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
