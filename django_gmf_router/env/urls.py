"""What does one database URL say, and what is wrong with it, without telling its password?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.env.entries import Entry, is_postgresql, with_our_engine

EXTRA = "install the extra: pip install 'django-gmf-router[env]'"
_EXAMPLE = "postgres://user:password@host:5432/database"
_ENCODE = "percent-encode @ : / ? # % and , in user and password"


class UrlReader(Protocol):
    """The part of django-environ's `Env` class that reads URLs."""

    @property
    def DB_SCHEMES(self) -> Mapping[str, str]: ...  # noqa: N802 - django-environ's name

    def db_url_config(self, url: str) -> Entry: ...


def default_reader() -> UrlReader:
    """Return django-environ's `Env`. Raises ImproperlyConfigured where it is not installed."""
    try:
        from environ import Env  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: PLC0415
    except ImportError:
        raise ImproperlyConfigured(f"Reading database URLs needs django-environ: {EXTRA}.") from None
    reader: UrlReader = Env
    return reader


def entry_from_url(url: str, *, name: str, reader: UrlReader) -> Entry:
    """Return the DATABASES entry of `url`, with this package's ENGINE for PostgreSQL.

    `name` is what the user set, for the messages. Drivers in SQLAlchemy's spelling (`postgresql+psycopg2://`)
    are accepted. Raises ImproperlyConfigured, which never repeats any part of the URL: with a password that
    is not percent-encoded, every part can hold a piece of it.
    """
    url = _without_driver(url.strip())
    _refuse_unknown_scheme(url, name, reader.DB_SCHEMES)
    _refuse_misplaced_parts(url, name)
    entry = _parsed(url, name, reader)
    if is_postgresql(entry):
        _refuse_incomplete(entry, name)
    return with_our_engine(entry)


def _without_driver(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return scheme.partition("+")[0] + separator + rest if separator else url


def _refuse_unknown_scheme(url: str, name: str, known: Collection[str]) -> None:
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ImproperlyConfigured(f"{name} is not a database URL: write it as {_EXAMPLE}, and {_ENCODE}.")
    if scheme.lower() not in known:
        raise ImproperlyConfigured(
            f"{name} has a scheme that django-environ does not know: use postgres, postgis or sqlite."
        )


def _refuse_misplaced_parts(url: str, name: str) -> None:
    # Both would be read as something else without an error: a database in memory, a password as a port.
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    if scheme.lower() == "sqlite":
        if host not in {"", ":memory:"}:
            raise ImproperlyConfigured(
                f"{name} names a host, which SQLite has not: write sqlite:///relative/path or sqlite:////absolute/path."
            )
    elif "@" in path.partition("?")[0]:
        raise ImproperlyConfigured(f"{name} is malformed: there is an @ after the host; {_ENCODE}.")


def _parsed(url: str, name: str, reader: UrlReader) -> Entry:
    try:
        return reader.db_url_config(url)
    except (ValueError, IndexError):
        # The cause repeats what it could not read, which may be a piece of the password.
        raise ImproperlyConfigured(
            f"{name} is malformed: no host and port can be read. The port is a number; {_ENCODE}."
        ) from None


def _refuse_incomplete(entry: Entry, name: str) -> None:
    options: Mapping[str, Any] = entry.get("OPTIONS", {})
    if "service" in options:
        return
    # django-environ leaves what is no host name percent-encoded; only an IPv6 address has a % of its own.
    unreadable = "%" in entry["HOST"] and ":" not in entry["HOST"]
    if unreadable or not (entry["HOST"] or "host" in options):
        raise ImproperlyConfigured(
            f"{name} names no host: write it as {_EXAMPLE}; for a socket, postgres://user@/database?host=/directory."
        )
    if not entry["NAME"]:
        raise ImproperlyConfigured(f"{name} names no database: write it as {_EXAMPLE}.")
