"""Which nodes and services does a cluster of GMF_ROUTER have, and what of DATABASES can be handed on to others?"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.utils import load_backend

from django_gmf_router.postgres.libpq import (
    CONNECT_TIMEOUT_SECONDS,
    DEFAULT_PORT,
    is_keyword,
    read_only_options,
    with_search_path,
)
from django_gmf_router.services.service_options import HIGHEST_PORT
from django_gmf_router.settings.values import ClusterConfig

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedNode:
    """One address of an alias."""

    name: str
    role: str
    host: str
    port: int
    weight: float = 1.0

    @property
    def address(self) -> str:
        """Host and port in one; an IPv6 address stands in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What one kind of client uses: the nodes in the order in which they are tried, and how to log in there."""

    name: str
    role: str
    nodes: tuple[ServedNode, ...]
    login: Login


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedCluster:
    """One primary alias with its replicas, as the other services see it; the nodes in the order of the settings."""

    alias: str
    primaries: tuple[ServedNode, ...]
    replicas: tuple[ServedNode, ...]
    reading: Service
    writing: Service
    search_path: tuple[str, ...] = ()
    """The schemas of SCHEMAS; empty where the server's own default counts."""

    @property
    def nodes(self) -> tuple[ServedNode, ...]:
        """The primary's, then the replicas'."""
        return *self.primaries, *self.replicas

    @property
    def services(self) -> tuple[Service, Service]:
        """The reading service, then the writing one."""
        return self.reading, self.writing


def served_cluster(
    config: ClusterConfig, databases: Mapping[str, Mapping[str, Any]], dice: random.Random | None = None
) -> ServedCluster:
    """Return the cluster; with `dice` the reading service tries its replicas in a random order, by weight.

    Raise ImproperlyConfigured with one line for what cannot be handed on.
    """
    alias = config.primary
    for each in (alias, *config.replica_aliases):
        if not re.fullmatch(r"[\w.-]+", each, re.ASCII):
            raise wrong(each, "has an alias that is no name for a service: use letters, digits, _ . and -")
        refuse(each, databases[each])
    primaries = _nodes(alias, "primary", databases[alias])
    replicas = tuple(
        node
        for replica in config.replicas
        for node in _nodes(replica.alias, "replica", databases[replica.alias], weight=replica.weight)
    )
    names = [node.name for node in (*primaries, *replicas)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise wrong(twice, "has the name that a host of another alias' list gets: rename the alias")
    # Efraimidis and Spirakis: the largest of these numbers is each node's with a chance by its weight.
    order = sorted(replicas, key=lambda node: dice.random() ** (1 / node.weight), reverse=True) if dice else replicas
    path = config.schemas.path if config.schemas else ()
    reading = _with_path(_login_of_replicas(config, databases), path)
    return ServedCluster(
        alias=alias,
        primaries=primaries,
        replicas=replicas,
        reading=Service(
            name=f"{alias}_read",
            role="replica",
            nodes=_distinct([*order, *primaries]),
            login=replace(reading, options=read_only_options(reading.options)),
        ),
        # A replica that was promoted takes the writes: the clients ask each node.
        writing=Service(
            name=f"{alias}_write",
            role="primary",
            nodes=_distinct([*primaries, *replicas]),
            login=_with_path(login(alias, databases[alias]), path),
        ),
        search_path=path,
    )


def _nodes(alias: str, role: str, entry: Mapping[str, Any], weight: float = 1.0) -> tuple[ServedNode, ...]:
    found = address_list(alias, entry)
    names = [alias] if len(found) == 1 else [f"{alias}-{number}" for number in range(1, len(found) + 1)]
    return tuple(
        ServedNode(name=name, role=role, host=host, port=port, weight=weight)
        for name, (host, port) in zip(names, found, strict=True)
    )


def _login_of_replicas(config: ClusterConfig, databases: Mapping[str, Mapping[str, Any]]) -> Login:
    """Return what the replicas agree on: one list of hosts has one role, one database, one set of keywords.

    The primary, last in the list, knows the same roles and databases: replication copies them.
    """
    first, *others = config.replica_aliases or (config.primary,)
    agreed = login(first, databases[first])
    for other in others:
        found = login(other, databases[other])
        for key in ("dbname", "user", "options", "parameters"):
            if getattr(found, key) != getattr(agreed, key):
                what = {"dbname": "NAME", "user": "USER"}.get(key, "OPTIONS")
                raise wrong(other, f"has another {what} than {first!r}: a list of hosts has one; make them equal")
    return agreed


def _with_path(found: Login, path: tuple[str, ...]) -> Login:
    return replace(found, options=with_search_path(found.options, path)) if path else found


def _distinct(nodes: Iterable[ServedNode]) -> tuple[ServedNode, ...]:
    # Where an alias lists all nodes of the cluster, the same one is named twice.
    return tuple({(node.host, node.port): node for node in reversed(list(nodes))}.values())[::-1]
