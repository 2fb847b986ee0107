"""What does a GeoMapFish vars file say about the databases, once its `{identifier}`s are filled?"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.env.variables import (
    ENGINE,
    EXTRA,
    Entry,
    default_reader,
    entry_from_url,
    is_postgresql,
    replica_of,
)

# As in str.format, by which GeoMapFish fills every value, a doubled brace stands for itself; and only an identifier is
# filled: the quantifiers of a pattern, \d{2} or \d{2,3}, stay.
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^\W\d]\w*)\}")
_URL = re.compile(r"(?P<scheme>[^:/{}]+://)(?P<account>.*)(?P<rest>@.*)", re.DOTALL)
_KEPT_TAGS = {"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"}

Trail = tuple[str, ...]


def read_vars(path: str | PathLike[str], *, extended_by: Trail = ()) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the variables of a file and of those that it `extends`, and the defaults that they give the environment.

    Scalars are strings or None. The variables stand under `vars:` or at the top of the file. They replace those of the
    extended file, but for `update_paths`, whose mappings and lists are joined (c2c.template's README, "Vars file").
    Raise ImproperlyConfigured, which names the file and never repeats a line of it.
    """
    file, real = fspath(path), os.path.realpath(path)
    if real in extended_by:
        raise ImproperlyConfigured(f"{' -> '.join((*extended_by, real))} extend each other in a circle: remove one.")
    try:
        document = _parsed(Path(path).read_bytes(), file)
    except OSError as error:
        raise ImproperlyConfigured(
            f"{file} cannot be read ({error.strerror}): correct the path or the file's mode."
        ) from None
    document = document if isinstance(document, dict) else {"vars": document}
    variables = document.get("vars", {}) if {"vars", "extends"} & document.keys() else document
    if not isinstance(variables, dict):
        raise ImproperlyConfigured(f"{file} is not a mapping: write 'key: value' lines, as under 'vars:'.")
    variables, defaults = {str(key): value for key, value in variables.items()}, _defaults(document)
    if base := scalar(document.get("extends"), key="extends", file=file):
        # GeoMapFish runs where the files are: the name is looked up beside this file.
        inherited, older = read_vars(Path(path).parent / base, extended_by=(*extended_by, real))
        paths = {str(each) for each in document.get("update_paths") or ()}
        return _joined(inherited, variables, paths), {**older, **defaults}
    return variables, defaults


def _defaults(document: Mapping[str, Any]) -> dict[str, str]:
    listed = [*(document.get("environment") or ()), *(document.get("runtime_environment") or ())]
    named = (each for each in listed if isinstance(each, dict) and each.keys() >= {"name", "default"})
    return {str(each["name"]): str(each["default"] or "") for each in named}


def _joined(old: dict[str, Any], new: dict[str, Any], paths: set[str], within: str = "") -> dict[str, Any]:
    found = dict(old)
    for key, value in new.items():
        path = f"{within}{key}"
        # A path is joined with all that leads to it.
        if key not in old or not any(each == path or each.startswith(f"{path}.") for each in paths):
            found[key] = value
        elif isinstance(old[key], dict) and isinstance(value, dict):
            found[key] = _joined(old[key], value, paths, f"{path}.")
        elif isinstance(old[key], list) and isinstance(value, list):
            found[key] = [*old[key], *value]
    return found


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
    except (yaml.YAMLError, RecursionError) as error:
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
            if match[1] is None:
                return match[0][0]
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


_CHOOSER_KEYS = {"master", "slave", "primary", "replica"}
_LAST_PORT = 65535


def databases_from_vars(
    path: str | PathLike[str], *, engine: str = ENGINE, environ: Mapping[str, str] | None = None
) -> tuple[dict[str, Entry], dict[str, dict[str, Any]]]:
    """Return `(DATABASES, GMF_ROUTER)` from a vars file of GeoMapFish (`geoportal/vars.yaml`, `vars_<project>.yaml`).

    Read are, with the files that it `extends`: for the primary `sqlalchemy.url`, else `dbhost`, `dbport`, `db`,
    `dbuser` and `dbpassword`; for `replica_1` `sqlalchemy_slave.url`, else `dbhost_slave` and `dbport_slave`;
    `db_chooser`. A slave that is the master itself is none, as in c2cgeoportal. `{identifier}` placeholders are filled
    from the file, then from `environ` (`os.environ` by default), then from the defaults that the file gives it.
    `engine` is the ENGINE of both entries; GeoDjango sites pass `"django_gmf_router.backends.postgis"`.

    Raise ImproperlyConfigured, which names key and file and never holds a password.
    """
    variables, defaults = read_vars(path)
    file = fspath(path)
    known = {**defaults, **(os.environ if environ is None else environ)}
    placeholders = Placeholders(variables=variables, environ=known, file=file)
    vars_file = _VarsFile(variables=variables, placeholders=placeholders, file=file, engine=engine)
    primary = vars_file.primary()
    replica = vars_file.replica(primary)
    if replica is None or _connection(replica) == _connection(primary):
        return {"default": primary}, {}
    cluster: dict[str, Any] = {"REPLICAS": ["replica_1"]}
    if chooser := vars_file.chooser():
        cluster["DB_CHOOSER"] = chooser
    return {"default": primary, "replica_1": replica_of(replica)}, {"default": cluster}


def _connection(entry: Entry) -> tuple[Any, ...]:
    return (entry["HOST"], str(entry["PORT"] or 5432), entry["NAME"], entry["USER"], entry["PASSWORD"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _VarsFile:
    """The variables of one file, with those that it extends."""

    variables: Mapping[str, Any]
    placeholders: Placeholders
    file: str
    engine: str

    def primary(self) -> Entry:
        return self._from_url("sqlalchemy") or {
            "ENGINE": self.engine,
            "NAME": self._required("db", "the database's name"),
            "USER": self._text("dbuser"),
            "PASSWORD": self._text("dbpassword"),
            "HOST": self._required("dbhost", "the primary's host"),
            "PORT": self._port("dbport"),
        }

    def replica(self, primary: Entry) -> Entry | None:
        if entry := self._from_url("sqlalchemy_slave"):
            return entry
        if host := self._text("dbhost_slave"):
            return {**primary, "HOST": host, "PORT": self._port("dbport_slave") or primary["PORT"]}
        return None

    def chooser(self) -> dict[str, list[str]]:
        chooser = self.variables.get("db_chooser") or {}
        if not isinstance(chooser, dict) or not chooser.keys() <= _CHOOSER_KEYS:
            raise ImproperlyConfigured(f"{self.file}: db_chooser takes two lists, 'master' and 'slave'.")
        found = {}
        for side, given in chooser.items():
            key = f"db_chooser.{side}"
            patterns = given if isinstance(given, list) else [] if given is None else [given]
            texts = (self.placeholders.text(scalar(each, key=key, file=self.file), key) for each in patterns)
            # As c2cgeoportal does: an entry point is "/" or ends with one, "GET {VISIBLE_ENTRY_POINT}/s/.*" has two.
            found[side] = [text.replace("//", "/") for text in texts]
        return found

    def _from_url(self, key: str) -> Entry | None:
        """Return the entry of `KEY: {url: ...}` or `KEY.url: ...`, None where there is none."""
        nested, dotted = self.variables.get(key), f"{key}.url"
        if not isinstance(nested, (dict, type(None))):
            raise ImproperlyConfigured(f"{self.file}: {key} is no mapping: write its URL under 'url:'.")
        given = (nested or {}).get("url") or self.variables.get(dotted)
        url = self.placeholders.url(scalar(given, key=dotted, file=self.file), dotted).strip()
        if not url:
            return None
        name = f"{self.file}: {dotted}"
        entry = entry_from_url(url, name=name, reader=default_reader())
        if not is_postgresql(entry):
            raise ImproperlyConfigured(f"{name} is no PostgreSQL URL: write postgresql://host/database.")
        return {**entry, "ENGINE": self.engine}

    def _text(self, key: str) -> str:
        value = scalar(self.variables.get(key), key=key, file=self.file)
        return self.placeholders.text(value, key)

    def _required(self, key: str, what: str) -> str:
        value = self._text(key).strip()
        if not value:
            raise ImproperlyConfigured(f"{self.file}: {key} is missing: set it to {what}, or set sqlalchemy.url.")
        return value

    def _port(self, key: str) -> str:
        port = self._text(key).strip()
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
            raise ImproperlyConfigured(f"{self.file}: {key} is no port: write a number up to {_LAST_PORT}.")
        return port
