"""Which nodes and which services does a cluster of GMF_ROUTER have?"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django_gmf_router.postgres.session_options import read_only_options, with_search_path
from django_gmf_router.services.logins import Login, address_list, login, refuse, wrong
from django_gmf_router.settings.values import ClusterConfig


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
