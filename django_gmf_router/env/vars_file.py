"""What does a GeoMapFish vars file say about the databases?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.env.database_urls import ENGINE, Entry, default_reader, entry_from_url, is_postgresql, replica_of
from django_gmf_router.env.vars_values import Placeholders, read_vars, scalar

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
