"""How does the text of a token come from a client and go back to it?"""

from __future__ import annotations

import hashlib
import logging
import time
from abc import ABC, abstractmethod
from math import ceil
from typing import Any, ClassVar, cast

from django.conf import settings
from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control

from django_gmf_router.consistency import tokens
from django_gmf_router.consistency.tokens import Mark, Token
from django_gmf_router.postgres.tallies import Tally
from django_gmf_router.settings.sections import ConsistencyConfig

LOGGER = logging.getLogger("django_gmf_router")


class Store(ABC):
    """Where the token of a client is kept between its requests; the clusters that keep it alike share one."""

    writes_late: ClassVar[bool] = False
    """Whether `write` still reaches the client when the headers are sent, at the end of a streamed body."""

    def __init__(self, config: ConsistencyConfig) -> None:
        """Take for how many seconds a token counts."""
        self._max_age = config.max_age
        self.refused: Tally[str] = Tally()
        """What clients brought that was not ours, or did not count any more."""

    @abstractmethod
    def read(self, request: HttpRequest) -> str | None:
        """Return the text that this client was given last, or whatever it sends in its place: nothing is verified."""

    @abstractmethod
    def write(self, request: HttpRequest, response: HttpResponseBase, text: str) -> None:
        """Give the client a text to keep for `MAX_AGE` seconds; only for requests that wrote."""

    def token_of(self, request: HttpRequest) -> Token | None:
        """Return what the client of `request` brings, if it is ours and still counts."""
        text = self.read(request)
        token = self.parse(text)
        if text is not None and token is None:
            next(self.refused["refused"])
        return token

    def parse(self, text: object) -> Token | None:
        """Return the token of a text, if it is ours and still counts."""
        return None if text is None else tokens.loads(text, max_age_seconds=self._max_age, now=time.time())

    def token(self, marks: tuple[Mark, ...], brought: Token | None) -> Token:
        """Return the token of a client that brought one and has now written what `marks` say."""
        written = Token(time=time.time(), marks=marks)
        return written if brought is None else brought.merged(written)

    def give(self, request: HttpRequest, response: HttpResponseBase, token: Token) -> None:
        """Give `token` to the client of `request`."""
        self.write(request, response, tokens.dumps(token))


class CookieStore(Store):
    """A cookie, for browsers.

    It is set by responses to requests that wrote, and by no others: what a read renewed or deleted could be a newer
    one, which another answer brought meanwhile.
    """

    def __init__(self, config: ConsistencyConfig) -> None:
        """Take the cookie's name and age."""
        super().__init__(config)
        self._name = config.cookie_name
        self._config = config

    def read(self, request: HttpRequest) -> str | None:
        """Return the cookie's value; of two cookies of the name the last."""
        # Parsing the cookies costs more than all else here, and few requests have this one.
        sent = request.META.get("HTTP_COOKIE")
        return request.COOKIES.get(self._name) if sent is None or self._name in sent else None

    def write(self, request: HttpRequest, response: HttpResponseBase, text: str) -> None:
        """Set the cookie where the session's goes; it ends by itself."""
        config = self._config
        response.set_cookie(
            self._name,
            text,
            max_age=ceil(self._max_age),
            domain=config.cookie_domain or settings.SESSION_COOKIE_DOMAIN,
            path=config.cookie_path or settings.SESSION_COOKIE_PATH,
            secure=settings.SESSION_COOKIE_SECURE or request.is_secure(),
            httponly=True,
            samesite=cast("Any", config.cookie_samesite or settings.SESSION_COOKIE_SAMESITE),
        )
        _keep_private(response)


class HeaderStore(Store):
    """A header of the response, which the client sends back as a header of its requests: for APIs and OGC clients."""

    def __init__(self, config: ConsistencyConfig) -> None:
        """Take the header's name."""
        super().__init__(config)
        self._name = config.header
        self._key = f"HTTP_{config.header.upper().replace('-', '_')}"

    def read(self, request: HttpRequest) -> str | None:
        """Return the header's value."""
        return request.META.get(self._key)

    def write(self, request: HttpRequest, response: HttpResponseBase, text: str) -> None:  # noqa: ARG002
        """Add the header; how long the token counts stands in it."""
        response.headers[self._name] = text
        _keep_private(response)


class CacheStore(Store):
    """Django's default cache, by the client's session or by the credentials of its Authorization header.

    Neither the session nor the user is loaded for it, so it adds no `Vary: Cookie`: at the start of a request it looks
    at the cookie and the header alone. A client that sends neither has no token.
    """

    writes_late: ClassVar[bool] = True

    def __init__(self, config: ConsistencyConfig) -> None:
        """Begin with a cache that works."""
        super().__init__(config)
        self._fails = False

    def read(self, request: HttpRequest) -> str | None:
        """Return what is kept for this client; None while the cache fails."""
        # A client is found by either key: behind one login it may send the session here and the header there.
        keys = _keys(request)
        return self._get(keys) if keys else None

    def write(self, request: HttpRequest, response: HttpResponseBase, text: str) -> None:  # noqa: ARG002
        """Keep the text, together with what another request of this client wrote meanwhile."""
        keys = _keys(request)
        if not keys:
            return
        text = self._joined(self._get(keys), text)
        try:
            caches[DEFAULT_CACHE_ALIAS].set_many(dict.fromkeys(keys, text), timeout=ceil(self._max_age))
        except Exception as error:  # noqa: BLE001  each cache has its own errors
            self._note(error)

    def _get(self, keys: list[str]) -> str | None:
        try:
            found = caches[DEFAULT_CACHE_ALIAS].get_many(keys)
        except Exception as error:  # noqa: BLE001  each cache has its own errors
            self._note(error)
            return None
        self._note(None)
        return next((found[key] for key in keys if key in found), None)

    def _joined(self, kept: str | None, text: str) -> str:
        theirs, ours = self.parse(kept) if kept != text else None, self.parse(text)
        return tokens.dumps(theirs.merged(ours)) if theirs and ours else text

    def _note(self, error: Exception | None) -> None:
        """Log a change: a cache that is down fails at every request."""
        failed, self._fails = self._fails, error is not None
        if self._fails and not failed:
            LOGGER.error(
                "The cache that keeps the tokens fails, clients may not see their own writes: %s",
                error,
                extra={"event": "consistency_store_down"},
            )
        elif failed and not self._fails:
            LOGGER.info("The cache that keeps the tokens works again.", extra={"event": "consistency_store_up"})


STORES: dict[str, type[Store]] = {"cookie": CookieStore, "header": HeaderStore, "cache": CacheStore}


def _keep_private(response: HttpResponseBase) -> None:
    """Forbid shared caches to keep a response with a token: it would be handed to others.

    Neither Set-Cookie nor a header of ours does that by itself (RFC 9111, section 7.3). There is nothing to vary by: a
    token chooses the server that is read, not what the page is.
    """
    patch_cache_control(response, private=True)


def _keys(request: HttpRequest) -> list[str]:
    """Return the cache keys of a client; hashes, since what it sends may be long, strange, and a secret."""
    identities = (_session_key(request), request.META.get("HTTP_AUTHORIZATION"))
    return [
        f"{prefix}:{hashlib.sha256(identity.encode(errors='replace')).hexdigest()}"
        for prefix, identity in zip(("gmf_token:session", "gmf_token:credentials"), identities, strict=True)
        if identity
    ]


def _session_key(request: HttpRequest) -> str | None:
    """Return the key of the session: after the request the one it goes on under, a login gives a new one."""
    session = getattr(request, "session", None)
    key: str | None = getattr(session, "session_key", None)
    return key if session is not None else request.COOKIES.get(settings.SESSION_COOKIE_NAME)
