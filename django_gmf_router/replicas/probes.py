"""What does a node say of itself? The only SQL about replication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import Error

from django_gmf_router.decision import PRIMARY, REPLICA


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The answer of a node: whether it is reachable, which role it has by its own word (None: not told), the error."""

    up: bool
    role: str | None = None
    error: str | None = None


def probe(connection: Any) -> Reading:
    """Ask the server behind `connection`, a Django connection wrapper, which is opened if need be."""
    try:
        with connection.cursor() as cursor:
            if connection.vendor != "postgresql":
                cursor.execute("SELECT 1")
                return Reading(up=True)
            cursor.execute("SELECT pg_is_in_recovery()")
            return Reading(up=True, role=REPLICA if cursor.fetchone()[0] else PRIMARY)
    except Error as error:
        return Reading(up=False, error=_first_line(error))


def _first_line(error: Error) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
