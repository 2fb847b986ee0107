"""What does a GeoMapFish vars file say about the databases?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.env.aliases import ENGINE, Entry, default_reader, entry_from_url, is_postgresql, replica_of
from django_gmf_router.env.vars_values import Placeholders, read_variables, scalar

_SLAVE_URL = "sqlalchemy_slave.url"
_CHOOSER_KEYS = {"master", "slave", "primary", "replica"}
_LAST_PORT = 65535


def databases_from_vars(
    path: str | PathLike[str], *, engine: str = ENGINE, environ: Mapping[str, str] | None = None
) -> tuple[dict[str, Entry], dict[str, dict[str, Any]]]:
    """Return `(DATABASES, GMF_ROUTER)` from a vars file of GeoMapFish (`vars_<project>.yaml`).

    Read are `dbhost`, `dbport`, `db`, `dbuser`, `dbpassword` for the primary; `sqlalchemy_slave.url` (nested
    or with the dotted key), else `dbhost_slave` and `dbport_slave`, for `replica_1`; `db_chooser`.
    A slave that is the master itself is none, as in c2cgeoportal. `{identifier}` placeholders are filled from
    the file, then from `environ` (`os.environ` by default). `engine` is the ENGINE of both entries; GeoDjango
    sites pass `"django_gmf_router.backends.postgis"`.

    Raise ImproperlyConfigured, which names key and file and never holds a password.
    """
    variables = read_variables(path)
    environ = os.environ if environ is None else environ
    vars_file = _VarsFile(
        variables=variables,
        placeholders=Placeholders(variables=variables, environ=environ, file=fspath(path)),
        file=fspath(path),
        engine=engine,
    )
    return vars_file.settings()


@dataclass(frozen=True, slots=True, kw_only=True)
class _VarsFile:
    """The variables of one file."""

    variables: Mapping[str, Any]
    placeholders: Placeholders
    file: str
    engine: str

    def settings(self) -> tuple[dict[str, Entry], dict[str, dict[str, Any]]]:
        primary = self._primary()
        replica = self._replica(primary)
        if replica is None or _connection(replica) == _connection(primary):
            return {"default": primary}, {}
        cluster: dict[str, Any] = {"REPLICAS": ["replica_1"]}
        if chooser := self._chooser():
            cluster["DB_CHOOSER"] = chooser
        return {"default": primary, "replica_1": replica_of(replica)}, {"default": cluster}

    def _primary(self) -> Entry:
        return {
            "ENGINE": self.engine,
            "NAME": self._required("db", "the database's name"),
            "USER": self._text("dbuser"),
            "PASSWORD": self._text("dbpassword"),
            "HOST": self._required("dbhost", "the primary's host"),
            "PORT": self._port("dbport"),
        }

    def _replica(self, primary: Entry) -> Entry | None:
        if url := self._slave_url():
            name = f"{self.file}: {_SLAVE_URL}"
            entry = entry_from_url(url, name=name, reader=default_reader())
            if not is_postgresql(entry):
                raise ImproperlyConfigured(f"{name} is no PostgreSQL URL: write postgresql://host/database.")
            return {**entry, "ENGINE": self.engine}
        if host := self._text("dbhost_slave"):
            return {**primary, "HOST": host, "PORT": self._port("dbport_slave") or primary["PORT"]}
        return None

    def _slave_url(self) -> str:
        nested = self.variables.get("sqlalchemy_slave")
        given = nested.get("url") if isinstance(nested, dict) else self.variables.get(_SLAVE_URL)
        value = scalar(given, key=_SLAVE_URL, file=self.file)
        return self.placeholders.url(value, _SLAVE_URL).strip()

    def _text(self, key: str) -> str:
        value = scalar(self.variables.get(key), key=key, file=self.file)
        return self.placeholders.text(value, key)

    def _required(self, key: str, what: str) -> str:
        value = self._text(key).strip()
        if not value:
            raise ImproperlyConfigured(f"{self.file}: {key} is missing: set it to {what}.")
        return value

    def _port(self, key: str) -> str:
        port = self._text(key).strip()
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
            raise ImproperlyConfigured(f"{self.file}: {key} is no port: write a number up to {_LAST_PORT}.")
        return port

    def _chooser(self) -> dict[str, list[str]]:
        chooser = self.variables.get("db_chooser") or {}
        if not isinstance(chooser, dict) or not chooser.keys() <= _CHOOSER_KEYS:
            raise ImproperlyConfigured(f"{self.file}: db_chooser takes two lists, 'master' and 'slave'.")
        return {key: self._patterns(f"db_chooser.{key}", value) for key, value in chooser.items()}

    def _patterns(self, key: str, value: Any) -> list[str]:
        patterns = value if isinstance(value, list) else [] if value is None else [value]
        return [self.placeholders.text(scalar(pattern, key=key, file=self.file), key) for pattern in patterns]


def _connection(entry: Entry) -> tuple[Any, ...]:
    port = str(entry["PORT"] or 5432)
    return (entry["HOST"], port, entry["NAME"], entry["USER"], entry["PASSWORD"])
