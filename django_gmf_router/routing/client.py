"""What must the client of a unit of work be able to read, and who is it?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from django.conf import settings

from django_gmf_router.consistency.stores import Store
from django_gmf_router.consistency.tokens import Token
from django_gmf_router.replicas.pool import Wanted
from django_gmf_router.routing.unit_of_work import Blocks, UnitOfWork, is_eventual
from django_gmf_router.settings.values import ClusterConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the choice of a replica depends on."""

    wanted: Wanted | None = None
    """What it must be able to read; None: anything."""
    key: str | None = None
    """Who it is, for a stable balancer: its session or what it sends as its token."""


ANYBODY = Client()


def client_of(config: ClusterConfig, store: Store, unit: UnitOfWork, blocks: Blocks) -> Client:
    """Return for whom a replica is picked."""
    # Who says read_after() means it inside an eventual block, too: only what the client brought is relaxed there.
    found = [block.token for block in blocks]
    if config.consistency.level == "session" and not is_eventual(blocks):
        found.append(token_of(unit, store))
    tokens = [token for token in found if token is not None]
    key = None
    if config.balancer == "stable" and unit.request is not None:
        key = unit.request.COOKIES.get(settings.SESSION_COOKIE_NAME) or store.read(unit.request)
    wanted = None
    if tokens and (mark := (token := reduce(Token.merged, tokens)).mark(config.primary)) is not None:
        wanted = Wanted(mark=mark, time=token.time)
    return ANYBODY if wanted is None and key is None else Client(wanted=wanted, key=key)


def token_of(unit: UnitOfWork, store: Store) -> Token | None:
    """Return the token that the client of `unit` brought; verified once."""
    if unit.request is None:
        return None
    if unit.tokens is None:
        unit.tokens = {}
    if store not in unit.tokens:
        unit.tokens[store] = store.token_of(unit.request)
    return unit.tokens[store]
