"""What does a value of a vars file say once its `{identifier}` placeholders are filled?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

# Only an identifier: the quantifiers of a pattern, \d{2} or \d{2,3}, are none.
_PLACEHOLDER = re.compile(r"\{([^\W\d]\w*)\}")
_URL = re.compile(r"(?P<scheme>[^:/{}]+://)(?P<account>.*)(?P<rest>@.*)", re.DOTALL)

Trail = tuple[str, ...]
_Reader = Callable[[str, Trail], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholders:
    """The values that placeholders may name: those of the file first, then those of the environment.

    A value of the file may hold placeholders again; one of the environment is taken as it is, since a
    password may hold braces. `trail` holds the keys that led to a value, the outermost first.
    """

    variables: Mapping[str, Any]
    environ: Mapping[str, str]
    file: str

    def text(self, value: str, key: str, trail: Trail = ()) -> str:
        """Return `value`, found under `key`, filled. Raises ImproperlyConfigured naming key and file."""
        trail = self._extended(trail, key)
        return self._filled(value, trail, self._plain, secret=any("password" in key.lower() for key in trail))

    def url(self, value: str, key: str, trail: Trail = ()) -> str:
        """Like `text`, for a URL: what is filled in for user and password is percent-encoded."""
        trail = self._extended(trail, key)
        parts = _URL.fullmatch(value)
        if parts is None:
            # The whole URL may be one placeholder, whose value in the file is a URL again.
            return self._filled(value, trail, self._as_url, secret=True)
        account = self._filled(parts["account"], trail, self._encoded, secret=True)
        return parts["scheme"] + account + self._filled(parts["rest"], trail, self._plain, secret=False)

    def _filled(self, value: str, trail: Trail, read: _Reader, *, secret: bool) -> str:
        return _PLACEHOLDER.sub(lambda match: self._read(match, trail, read, secret=secret), value)

    def _read(self, match: re.Match[str], trail: Trail, read: _Reader, *, secret: bool) -> str:
        if match[1] not in self.variables and match[1] not in self.environ:
            # A password may hold what looks like a placeholder: name it only where it is all there is.
            shown = "a placeholder" if secret and match[0] not in match.string.split(":") else match[0]
            raise ImproperlyConfigured(
                f"{self.file}: {trail[-1]} holds {shown}, unknown to the file and to the environment: set it."
            )
        return read(match[1], trail)

    def _plain(self, name: str, trail: Trail) -> str:
        if name not in self.variables:
            return self.environ[name]
        return self.text(scalar(self.variables[name], key=name, file=self.file), name, trail)

    def _encoded(self, name: str, trail: Trail) -> str:
        return quote(self._plain(name, trail), safe="")

    def _as_url(self, name: str, trail: Trail) -> str:
        if name not in self.variables:
            return self.environ[name]
        return self.url(scalar(self.variables[name], key=name, file=self.file), name, trail)

    def _extended(self, trail: Trail, key: str) -> Trail:
        if key in trail:
            chain = " -> ".join((*trail, key))
            raise ImproperlyConfigured(f"{self.file}: {chain} is a circle: give one of them a plain value.")
        return (*trail, key)


def scalar(value: Any, *, key: str, file: str) -> str:
    """Return the one value under `key`, "" for none. Raises ImproperlyConfigured for a list or a mapping."""
    if isinstance(value, (list, dict)):
        raise ImproperlyConfigured(f"{file}: {key} is a list or a mapping: write a single value.")
    return "" if value is None else str(value)
