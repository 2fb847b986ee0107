"""Whose reads are these, and which clients do replicas serve?"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest

from django_gmf_router.replicas.pool import Wanted


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
