"""Which clients do replicas serve, and what does the site itself say of a request?"""

from __future__ import annotations

import hashlib
import logging
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest
from django.utils.module_loading import import_string

from django_gmf_router.replicas.pool import Wanted
from django_gmf_router.settings.values import Role

LOGGER = logging.getLogger("django_gmf_router")


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


class Chooser:
    """The site's own rule, a function from a request to "primary", "replica" or None."""

    def __init__(self, path: str) -> None:
        """Take the dotted path of the function; it is imported when it is first asked."""
        self._path = path
        self._told: set[str] = set()

    def ask(self, request: HttpRequest) -> Role | None:
        """Return what the site says of a request. What it raises and nonsense are logged once, and say nothing.

        Raise SynchronousOnlyOperation where it cannot be asked in this thread.
        """
        try:
            answer: object = import_string(self._path)(request)
        except SynchronousOnlyOperation:
            raise
        except Exception as error:  # noqa: BLE001  a page must not fail for the sake of its speed
            self._tell(f"it raised {type(error).__name__}: {error}", error)
            return None
        if answer is None:
            return None
        try:
            return Role(answer)
        except ValueError:
            self._tell(f"it returned {answer!r}, which is neither 'primary', 'replica' nor None", None)
            return None

    def _tell(self, what: str, error: Exception | None) -> None:
        if what not in self._told:
            self._told.add(what)
            text = "CHOOSER, %s, says nothing of a request: %s. Its method decides."
            LOGGER.warning(text, self._path, what, exc_info=error, extra={"event": "chooser"})
