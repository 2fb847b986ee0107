"""Which values does a vars file hold, as they are written, and what do they say once `{identifier}`s are filled?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.env.aliases import EXTRA

# Only an identifier: the quantifiers of a pattern, \d{2} or \d{2,3}, are none.
_PLACEHOLDER = re.compile(r"\{([^\W\d]\w*)\}")
_URL = re.compile(r"(?P<scheme>[^:/{}]+://)(?P<account>.*)(?P<rest>@.*)", re.DOTALL)
_KEPT_TAGS = {"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"}

Trail = tuple[str, ...]


def read_variables(path: str | PathLike[str]) -> dict[str, Any]:
    """Return the mapping at the top of a YAML file, or the one under its `vars:`; scalars are strings or None.

    Raise ImproperlyConfigured, which names the file and never repeats a line of it.
    """
    file = fspath(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{file} cannot be read ({error.strerror}): correct the path or the file's mode."
        ) from None
    document = _parsed(content, file)
    if isinstance(document, dict) and "vars" in document:
        document = document["vars"]
    if not isinstance(document, dict):
        raise ImproperlyConfigured(f"{file} is not a mapping: write 'key: value' lines, as under 'vars:'.")
    return {str(key): value for key, value in document.items()}


def _parsed(content: bytes, file: str) -> Any:
    try:
        import yaml  # noqa: PLC0415 - optional
    except ImportError:
        raise ImproperlyConfigured(f"Reading {file} needs PyYAML: {EXTRA}.") from None

    class Verbatim(yaml.SafeLoader):
        """Leaves every scalar but null a string: `dbpassword: 0123` is no octal number."""

        yaml_implicit_resolvers = {
            first: [(tag, regexp) for tag, regexp in resolvers if tag in _KEPT_TAGS]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    try:
        return yaml.load(content, Loader=Verbatim)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        # The error's own text repeats the line, which may hold the password.
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ImproperlyConfigured(
            f"{file} is not valid YAML{where}: quote values that hold : # @ * & or braces."
        ) from None


def scalar(value: Any, *, key: str, file: str) -> str:
    """Return the one value under `key`, "" for none. Raise ImproperlyConfigured for a list or a mapping."""
    if isinstance(value, (list, dict)):
        raise ImproperlyConfigured(f"{file}: {key} is a list or a mapping: write a single value.")
    return "" if value is None else str(value)


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
        """Return `value`, found under `key`, filled. Raise ImproperlyConfigured naming key and file."""
        trail = self._extended(trail, key)
        secret = any("password" in each.lower() for each in trail)
        return self._filled(value, trail, self._plain, secret=secret)

    def url(self, value: str, key: str, trail: Trail = ()) -> str:
        """Like `text`, for a URL: what is filled in for user and password is percent-encoded."""
        trail = self._extended(trail, key)
        parts = _URL.fullmatch(value)
        if parts is None:
            # The whole URL may be one placeholder, whose value in the file is a URL again.
            return self._filled(value, trail, lambda name, trail: self._read(name, trail, self.url), secret=True)
        encoded = self._filled(
            parts["account"], trail, lambda name, trail: quote(self._plain(name, trail), safe=""), secret=True
        )
        return parts["scheme"] + encoded + self._filled(parts["rest"], trail, self._plain, secret=False)

    def _filled(self, value: str, trail: Trail, read: Callable[[str, Trail], str], *, secret: bool) -> str:
        def fill(match: re.Match[str]) -> str:
            if match[1] in self.variables or match[1] in self.environ:
                return read(match[1], trail)
            # A password may hold what looks like a placeholder: name it only where it is all there is.
            shown = "a placeholder" if secret and match[0] not in value.split(":") else match[0]
            raise ImproperlyConfigured(
                f"{self.file}: {trail[-1]} holds {shown}, unknown to the file and to the environment: set it."
            )

        return _PLACEHOLDER.sub(fill, value)

    def _plain(self, name: str, trail: Trail) -> str:
        return self._read(name, trail, self.text)

    def _read(self, name: str, trail: Trail, fill: Callable[[str, str, Trail], str]) -> str:
        if name not in self.variables:
            return self.environ[name]
        return fill(scalar(self.variables[name], key=name, file=self.file), name, trail)

    def _extended(self, trail: Trail, key: str) -> Trail:
        if key in trail:
            chain = " -> ".join((*trail, key))
            raise ImproperlyConfigured(f"{self.file}: {chain} is a circle: give one of them a plain value.")
        return (*trail, key)
