"""What does an entry of DATABASES say to libpq, and what of it cannot be handed on?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.utils import load_backend

from django_gmf_router.postgres.libpq import DEFAULT_PORT, is_keyword
from django_gmf_router.postgres.session_options import CONNECT_TIMEOUT_SECONDS
from django_gmf_router.services.service_options import HIGHEST_PORT

# What a service has of its own, or what is about the client itself. What is no keyword of libpq is Django's.
_NOT_HANDED_ON = {"host", "port", "dbname", "user", "options", "target_session_attrs", "load_balance_hosts"}
_NOT_HANDED_ON |= {"application_name", "fallback_application_name", "client_encoding", "replication", "sslkeylogfile"}
# No password is handed on, whatever its keyword is called: sslpassword, oauth_client_secret, scram_client_key.
_SECRET = re.compile(r".*(password|secret|_key)")
_REFUSED = {
    "service": "takes its connection from a service file, which is not read: write HOST, PORT, USER and NAME instead",
    "hostaddr": "has OPTIONS['hostaddr'], which is not handed on: write the address as HOST",
}
_HOST = re.compile(r"[^\s,'\"\\;#$]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The database, the role, the options of the session, and the other keywords of libpq."""

    dbname: str
    user: str = ""
    options: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def refuse(alias: str, entry: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured for another vendor, and for OPTIONS that say where the server is in another way."""
    vendor = load_backend(entry["ENGINE"]).DatabaseWrapper.vendor
    if vendor != "postgresql":
        raise wrong(alias, f"is {vendor}: gmf_services knows PostgreSQL only; choose another with --database")
    for key, reason in _REFUSED.items():
        if _options(entry).get(key):
            raise wrong(alias, reason)


def address_list(alias: str, entry: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the hosts and ports of an entry; HOST and PORT may be lists, as libpq's are."""
    hosts = _value(alias, entry, "HOST").split(",")
    ports = (_value(alias, entry, "PORT") or DEFAULT_PORT).split(",")
    if hosts == [""]:
        raise wrong(alias, "has no HOST: name its host, or the directory of its socket")
    if len(ports) not in {1, len(hosts)}:
        raise wrong(alias, f"has {len(hosts)} hosts and {len(ports)} ports: give one port, or one for each host")
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise wrong(alias, f"has the HOST {host!r}: use a name, an address or a directory without spaces or quotes")
    for port in ports:
        if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or not 0 < int(port) <= HIGHEST_PORT:
            raise wrong(alias, f"has the PORT {port!r}: use a number from 1 to {HIGHEST_PORT}")
    return [(host, int(port)) for host, port in zip(hosts, ports * (len(hosts) // len(ports)), strict=True)]


def login(alias: str, entry: Mapping[str, Any]) -> Login:
    """Return how an entry logs in. Raise ImproperlyConfigured for what has no place in a file of lines."""
    given = _options(entry)
    dbname = _plain(alias, "OPTIONS['dbname']", given["dbname"]) if "dbname" in given else _value(alias, entry, "NAME")
    if not dbname:
        raise wrong(alias, "has no NAME: name its database")
    driver = load_backend(entry["ENGINE"]).DatabaseWrapper.Database
    parameters = {
        key: _plain(alias, f"OPTIONS[{key!r}]", value)
        for key, value in given.items()
        if value is not None and key not in _NOT_HANDED_ON and not _SECRET.fullmatch(key) and is_keyword(key, driver)
    }
    return Login(
        dbname=dbname,
        user=_value(alias, entry, "USER"),
        options=_plain(alias, "OPTIONS['options']", given.get("options") or ""),
        parameters={"connect_timeout": str(CONNECT_TIMEOUT_SECONDS), **parameters},
    )


def wrong(alias: str, what: str) -> ImproperlyConfigured:
    """Make the error that names the entry; `what` holds the remedy."""
    return ImproperlyConfigured(f"DATABASES[{alias!r}] {what}.")


def _options(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return entry.get("OPTIONS") or {}


def _value(alias: str, entry: Mapping[str, Any], key: str) -> str:
    # As Django does: where the entry says nothing, OPTIONS of the same name in small letters counts.
    return _plain(alias, key, entry.get(key) or _options(entry).get(key.lower()) or "")


def _plain(alias: str, key: str, value: Any) -> str:
    # A file of lines has no place for these; a service file drops spaces at the ends.
    text = str(value)
    if not text.isprintable() or text != text.strip():
        raise wrong(alias, f"has a line break, a control character or a space at an end in {key}: remove it")
    return text
