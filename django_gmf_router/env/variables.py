"""What is an entry of DATABASES, of a URL or a primary's entry, and which ones does the environment name?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.postgres import names
from django_gmf_router.postgres.libpq import CONNECT_TIMEOUT_SECONDS, read_only_options

ENGINE = "django_gmf_router.backends.postgresql"
ENGINE_POSTGIS = "django_gmf_router.backends.postgis"
EXTRA = "install the extra: pip install 'django-gmf-router[env]'"

_OUR_ENGINES = {
    "django.db.backends.postgresql": ENGINE,
    "django.db.backends.postgresql_psycopg2": ENGINE,
    "django.contrib.gis.db.backends.postgis": ENGINE_POSTGIS,
}
_POSTGRESQL_ENGINES = {
    *_OUR_ENGINES,
    *_OUR_ENGINES.values(),
    "django_prometheus.db.backends.postgresql",
    "django_prometheus.db.backends.postgis",
}
_EXAMPLE = "postgres://user:password@host:5432/database"
_ENCODE = "percent-encode @ : / ? # % and , in user and password"

Entry = dict[str, Any]


class UrlReader(Protocol):
    """The part of django-environ's `Env` class that reads URLs."""

    @property
    def DB_SCHEMES(self) -> Mapping[str, str]: ...  # noqa: N802 - django-environ's name

    def db_url_config(self, url: str) -> Entry: ...


def is_postgresql(entry: Mapping[str, Any]) -> bool:
    """Return whether the entry's ENGINE speaks to PostgreSQL through libpq, and so takes its OPTIONS."""
    return entry.get("ENGINE") in _POSTGRESQL_ENGINES


def with_our_engine(entry: Mapping[str, Any]) -> Entry:
    """Return a copy whose stock PostgreSQL ENGINE is this package's; any other ENGINE stays."""
    engine = entry.get("ENGINE", "")
    return {**entry, "ENGINE": _OUR_ENGINES.get(engine, engine)}


def replica_of(primary: Mapping[str, Any], /, *, mirror: str = "default", **overrides: Any) -> Entry:
    """Return the DATABASES entry of a replica of `primary`, a hand-written entry of DATABASES.

    `overrides` are keys of the entry (`HOST="db2"`); `OPTIONS` and `TEST` are merged, the others replace.
    `mirror` is the alias of the primary, for the test runner. The entry gets this package's ENGINE in place
    of Django's PostgreSQL ones, and what every replica needs:

    - `TEST: {"MIRROR": mirror}`, so that tests see the rows they wrote (Django's manual, "Testing
      primary/replica configurations"); the rest of the primary's `TEST` is not copied.
    - no `ATOMIC_REQUESTS`: it would open a transaction on the replica for every request.
    - on PostgreSQL a read-only session (PostgreSQL's manual, section 20.11, `default_transaction_read_only`),
      added to OPTIONS `options`, and a `connect_timeout` of 2 seconds where OPTIONS have none.
    """
    options = {**primary.get("OPTIONS", {}), **overrides.pop("OPTIONS", {})}
    test = {**overrides.pop("TEST", {}), "MIRROR": mirror}
    entry = with_our_engine({**primary, **overrides})
    entry.pop("ATOMIC_REQUESTS", None)
    if is_postgresql(entry):
        options = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **options}
        options["options"] = read_only_options(options.get("options"))
    if options:
        entry["OPTIONS"] = options
    return {**entry, "TEST": test}


def default_reader() -> UrlReader:
    """Return django-environ's `Env`. Raise ImproperlyConfigured where it is not installed."""
    try:
        from environ import Env  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: PLC0415
    except ImportError:
        raise ImproperlyConfigured(f"Reading database URLs needs django-environ: {EXTRA}.") from None
    reader: UrlReader = Env
    return reader


def entry_from_url(url: str, *, name: str, reader: UrlReader) -> Entry:
    """Return the DATABASES entry of `url`, with this package's ENGINE for PostgreSQL.

    `name` is what the user set, for the messages. Drivers in SQLAlchemy's spelling (`postgresql+psycopg2://`)
    are accepted. Raise ImproperlyConfigured, which never repeats any part of the URL: with a password that
    is not percent-encoded, every part can hold a piece of it.
    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator:
        raise ImproperlyConfigured(f"{name} is not a database URL: write it as {_EXAMPLE}, and {_ENCODE}.")
    scheme = scheme.partition("+")[0].lower()
    if scheme not in reader.DB_SCHEMES:
        raise ImproperlyConfigured(
            f"{name} has a scheme that django-environ does not know: use postgres, postgis or sqlite."
        )
    # Both would be read as something else without an error: a database in memory, a password as a port.
    host, _, path = rest.partition("/")
    if scheme == "sqlite" and host not in {"", ":memory:"}:
        raise ImproperlyConfigured(
            f"{name} names a host, which SQLite has not: write sqlite:///relative/path or sqlite:////absolute/path."
        )
    if scheme != "sqlite" and "@" in path.partition("?")[0]:
        raise ImproperlyConfigured(f"{name} is malformed: there is an @ after the host; {_ENCODE}.")
    try:
        entry = reader.db_url_config(f"{scheme}://{rest}")
    except (ValueError, IndexError):
        # The cause repeats what it could not read, which may be a piece of the password.
        raise ImproperlyConfigured(
            f"{name} is malformed: no host and port can be read. The port is a number; {_ENCODE}."
        ) from None
    if is_postgresql(entry):
        _refuse_incomplete(entry, name, host.rpartition("@")[2])
    return with_our_engine(entry)


def _refuse_incomplete(entry: Entry, name: str, server: str) -> None:
    options: Mapping[str, Any] = entry.get("OPTIONS", {})
    if "service" in options:
        return
    # django-environ leaves what is no host name percent-encoded; only an IPv6 address has a % of its own.
    unreadable = "%" in entry["HOST"] and ":" not in entry["HOST"]
    # Python 3.10 reads an address in brackets that do not end.
    is_open = server.startswith("[") and "]" not in server
    if unreadable or is_open or not (entry["HOST"] or "host" in options):
        raise ImproperlyConfigured(
            f"{name} names no host: write it as {_EXAMPLE}; for a socket, postgres://user@/database?host=/directory."
        )
    if not entry["NAME"]:
        raise ImproperlyConfigured(f"{name} names no database: write it as {_EXAMPLE}.")


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
