"""What must the client of a unit of work be able to read, and who is it?"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from django.conf import settings

from django_gmf_router.consistency.keeper import Keeper
from django_gmf_router.consistency.tokens import Token
from django_gmf_router.replicas.pool import Wanted
from django_gmf_router.routing.blocks import is_eventual
from django_gmf_router.routing.policy import ANYBODY, Blocks, Client
from django_gmf_router.routing.unit_of_work import UnitOfWork
from django_gmf_router.settings.values import ClusterConfig


def client_of(config: ClusterConfig, keeper: Keeper, unit: UnitOfWork, blocks: Blocks) -> Client:
    """Return for whom a replica is picked: what this client must be able to read, and who it is."""
    tokens = [block.token for block in blocks if block.token is not None]
    if config.consistency.level == "session" and not is_eventual(blocks):
        tokens.append(token_of(unit, keeper))
    wanted, key = _wanted(config.primary, tokens), _key(config, keeper, unit)
    return ANYBODY if wanted is None and key is None else Client(wanted=wanted, key=key)


def _wanted(primary: str, tokens: Iterable[Token | None]) -> Wanted | None:
    known = [token for token in tokens if token is not None]
    if not known:
        return None
    token = reduce(Token.merged, known)
    mark = token.mark(primary)
    return None if mark is None else Wanted(mark=mark, time=token.time)


def _key(config: ClusterConfig, keeper: Keeper, unit: UnitOfWork) -> str | None:
    """Return what names the client for a stable balancer: its session or what it sends as its token."""
    if config.balancer != "stable" or unit.request is None:
        return None
    return unit.request.COOKIES.get(settings.SESSION_COOKIE_NAME) or keeper.store.read(unit.request)


def token_of(unit: UnitOfWork, keeper: Keeper) -> Token | None:
    """Return the token that the client of `unit` brought; verified once."""
    if unit.request is None:
        return None
    if unit.tokens is None:
        unit.tokens = {}
    if keeper not in unit.tokens:
        unit.tokens[keeper] = keeper.token_of(unit.request)
    found: Token | None = unit.tokens[keeper]
    return found
