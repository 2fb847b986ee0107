"""What do DATABASE_URL, DATABASE_REPLICA_URLS and their companions in the environment say?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.env.database_urls import EXTRA, Entry, UrlReader, entry_from_url, replica_of
from django_gmf_router.postgres import names

_CHOOSER = {"master": "GMF_DB_CHOOSER_MASTER", "slave": "GMF_DB_CHOOSER_SLAVE"}
_SCHEMAS = {"MAIN": "PGSCHEMA", "STATIC": "PGSCHEMA_STATIC"}


class Env(UrlReader, Protocol):
    """The part of a django-environ `Env` that is used here."""

    @property
    def ENVIRON(self) -> Mapping[str, str]: ...  # noqa: N802 - django-environ's name

    @property
    def prefix(self) -> str: ...

    def str(self, var: str, /) -> Any: ...


def databases(env: Env) -> tuple[dict[str, Entry], dict[str, dict[str, Any]]]:
    """Return `(DATABASES, GMF_ROUTER)` from the environment, read through a django-environ `Env`.

    - `DATABASE_URL`: the primary, alias `default`.
    - `DATABASE_REPLICA_URLS`: the replicas, comma separated, aliases `replica_1`, `replica_2` and so on; each
      gets what `replica_of` gives one. Without it GMF_ROUTER names no replica and Django stays as it is.
    - `GMF_DB_CHOOSER_MASTER`, `GMF_DB_CHOOSER_SLAVE`: patterns over `METHOD /path`, one a line or as a JSON
      list of strings; never comma separated, since `\\d{2,3}` is one pattern.
    - `PGSCHEMA`, `PGSCHEMA_STATIC`: the names of the main and the static schema, for `SCHEMAS`. The engines of this
      package make the search_path of it, with what the site says of `EXTENSIONS` afterwards.

    Defaults in the `Env`'s scheme count, its prefix too. Raise ImproperlyConfigured, which names the
    variable and the remedy and never holds a password.
    """
    if not hasattr(env, "db_url_config"):
        raise ImproperlyConfigured(f"databases(env) takes an environ.Env() of django-environ: {EXTRA}.")
    url = _value(env, "DATABASE_URL")
    if not url or not url.strip():
        raise ImproperlyConfigured("DATABASE_URL is not set: set it to postgres://user:password@host:5432/database.")
    schemas = {key: str(value) for key, name in _SCHEMAS.items() if (value := _value(env, name))}
    for key, value in schemas.items():
        if line := names.problem(value):
            raise ImproperlyConfigured(f"{_SCHEMAS[key]}: {line}")
    entries = {"default": entry_from_url(url, name="DATABASE_URL", reader=env)}
    given = _value(env, "DATABASE_REPLICA_URLS") or ""
    urls = [item.strip() for item in (given.split(",") if isinstance(given, str) else given) if item.strip()]
    for number, url in enumerate(urls, start=1):
        alias = f"replica_{number}"
        name = f"DATABASE_REPLICA_URLS[{number}], the URL of {alias},"
        entries[alias] = replica_of(entry_from_url(url, name=name, reader=env))
    cluster: dict[str, Any] = {"REPLICAS": [alias for alias in entries if alias != "default"]}
    chooser = {key: patterns for key, name in _CHOOSER.items() if (patterns := _patterns(env, name))}
    if urls and chooser:
        cluster["DB_CHOOSER"] = chooser
    if schemas:
        cluster["SCHEMAS"] = schemas
    return entries, {"default": cluster} if urls or schemas else {}


def _patterns(env: Env, name: str) -> list[str]:
    value = _value(env, name) or ""
    if not isinstance(value, str):
        return list(value)
    # A pattern may start with a set, "[A-Z]+ /x"; only a list of strings starts with a bracket and a quote.
    if not "".join(value.split()).startswith(('["', "[]")):
        return [line.strip() for line in value.split("\n") if line.strip()]
    try:
        patterns = json.loads(value)
    except (ValueError, RecursionError):
        patterns = [None]
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise ImproperlyConfigured(
            f"{name} is not a JSON list of strings: double its backslashes, or write one pattern a line."
        )
    return list(patterns)


def _value(env: Env, name: str) -> Any:
    """Return the variable's value, the default of the `Env`'s scheme, or None."""
    try:
        return env.str(name)
    except ImproperlyConfigured:
        # django-environ also says so when the value is "$OTHER" and OTHER is not set.
        if f"{env.prefix}{name}" in env.ENVIRON:
            raise ImproperlyConfigured(f"{name} refers to a variable that is not set: set that one.") from None
        return None
    except OSError:
        raise ImproperlyConfigured(
            f"{name}_FILE names a file that cannot be read: correct the path or its mode."
        ) from None
