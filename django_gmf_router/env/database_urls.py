"""What is one entry of DATABASES, from a URL or from a primary's entry, and what is wrong with its URL?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.postgres.session_options import CONNECT_TIMEOUT_SECONDS, read_only_options

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
