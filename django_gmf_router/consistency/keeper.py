"""What has the client of this request written, and how is it given what it wrote now?"""

from __future__ import annotations

import time
from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from django_gmf_router.consistency import tokens
from django_gmf_router.consistency.stores import store_for
from django_gmf_router.consistency.tokens import Token
from django_gmf_router.marks import Mark
from django_gmf_router.settings.values import ConsistencyConfig


class Keeper:
    """Reads and writes the tokens of clients, for the clusters that share a place to keep them."""

    def __init__(self, config: ConsistencyConfig, clock: Callable[[], float] = time.time) -> None:
        """Take where tokens are kept and for how long."""
        self.store = store_for(config)
        self._max_age = config.max_age
        self._clock = clock

    def token_of(self, request: HttpRequest) -> Token | None:
        """Return what the client of `request` brings, if it is ours and still counts."""
        return self.parse(self.store.read(request))

    def parse(self, text: object) -> Token | None:
        """Return the token of a text, if it is ours and still counts."""
        return None if text is None else tokens.loads(text, max_age_seconds=self._max_age, now=self._clock())

    def token(self, marks: tuple[Mark, ...], brought: Token | None) -> Token:
        """Return the token of a client that brought one and has now written what `marks` say."""
        written = Token(time=self._clock(), marks=marks)
        return written if brought is None else brought.merged(written)

    def text(self, token: Token | None) -> str | None:
        """Return the text of a token."""
        return None if token is None else tokens.dumps(token)

    def give(self, request: HttpRequest, response: HttpResponseBase, token: Token) -> None:
        """Give `token` to the client of `request`."""
        self.store.write(request, response, tokens.dumps(token), self._max_age)
