"""What is remembered of the last requests?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.core.cache import cache

KEPT = 50
_COUNTER = "served:number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One decision, and what the server says of itself: its port, and whether it is a replica."""

    role: str
    alias: str
    reason: str
    port: int | None = None
    in_recovery: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One request."""

    at: datetime
    method: str
    path: str
    status: int
    milliseconds: float
    served: tuple[Served, ...]


def keep(record: Record) -> None:
    """Remember `record` in place of the one that came KEPT requests before it."""
    # A ring of keys, since reading, changing and writing one list would lose records of other threads.
    cache.add(_COUNTER, 0, timeout=None)
    number = cache.incr(_COUNTER)
    cache.set(_key(number), (number, record), timeout=None)


def last() -> list[Record]:
    """Return what is remembered, the newest first."""
    found = cache.get_many([_key(number) for number in range(KEPT)]).values()
    return [record for _, record in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _key(number: int) -> str:
    return f"served:{number % KEPT}"
