"""Which nodes and which services does a cluster of GMF_ROUTER have?"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django_gmf_router.postgres.session_options import read_only_options, with_search_path
from django_gmf_router.services import entries
from django_gmf_router.services.values import Node, ServedCluster, Service
from django_gmf_router.settings.values import ClusterConfig

_SAME = ("dbname", "user", "options", "parameters")


def build(
    config: ClusterConfig, databases: Mapping[str, Mapping[str, Any]], dice: random.Random | None = None
) -> ServedCluster:
    """Return the cluster; with `dice` the reading service tries its replicas in a random order, by weight.

    Raises ImproperlyConfigured with one line for what cannot be handed on.
    """
    alias = _name(config.primary)
    for each in (alias, *config.replica_aliases):
        entries.refuse(each, databases[each])
    primaries = _nodes(alias, "primary", databases[alias])
    replicas = tuple(
        node
        for replica in config.replicas
        for node in _nodes(_name(replica.alias), "replica", databases[replica.alias], weight=replica.weight)
    )
    path = config.schemas.path if config.schemas else ()
    return ServedCluster(
        alias=alias,
        primaries=primaries,
        replicas=replicas,
        search_path=path,
        reading=Service(
            name=f"{alias}_read",
            role="replica",
            nodes=_distinct([*_shuffled(replicas, dice), *primaries]),
            **_session(_login_of_replicas(config, databases), path, read_only=True),
        ),
        # A replica that was promoted takes the writes: the clients ask each node.
        writing=Service(
            name=f"{alias}_write",
            role="primary",
            nodes=_distinct([*primaries, *replicas]),
            **_session(entries.login(alias, databases[alias]), path),
        ),
    )


def _name(alias: str) -> str:
    if not re.fullmatch(r"[\w.-]+", alias, re.ASCII):
        raise entries.wrong(alias, "has an alias that is no name for a service: use letters, digits, _ . and -")
    return alias


def _nodes(alias: str, role: str, entry: Mapping[str, Any], weight: float = 1.0) -> tuple[Node, ...]:
    found = entries.addresses(alias, entry)
    names = [alias] if len(found) == 1 else [f"{alias}-{number}" for number in range(1, len(found) + 1)]
    return tuple(
        Node(name=name, role=role, host=host, port=port, weight=weight)
        for name, (host, port) in zip(names, found, strict=True)
    )


def _login_of_replicas(config: ClusterConfig, databases: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the replicas agree on: one list of hosts has one role, one database, one set of keywords.

    The primary, last in the list, knows the same roles and databases: replication copies them.
    """
    first, *others = config.replica_aliases or (config.primary,)
    agreed = entries.login(first, databases[first])
    for other in others:
        found = entries.login(other, databases[other])
        for key in _SAME:
            if found[key] != agreed[key]:
                what = {"dbname": "NAME", "user": "USER"}.get(key, "OPTIONS")
                raise entries.wrong(
                    other, f"has another {what} than {first!r}: a list of hosts has one; make them equal"
                )
    return agreed


def _session(login: Mapping[str, Any], path: tuple[str, ...], *, read_only: bool = False) -> dict[str, Any]:
    options = read_only_options(login["options"]) if read_only else login["options"]
    return {**login, "options": with_search_path(options, path) if path else options}


def _shuffled(nodes: Sequence[Node], dice: random.Random | None) -> list[Node]:
    if dice is None:
        return list(nodes)
    # Efraimidis and Spirakis: the largest of these is each node with a chance by its weight.
    return sorted(nodes, key=lambda node: dice.random() ** (1 / node.weight), reverse=True)


def _distinct(nodes: Iterable[Node]) -> tuple[Node, ...]:
    # Where an alias lists all nodes of the cluster, the same one is named twice.
    return tuple({(node.host, node.port): node for node in reversed(list(nodes))}.values())[::-1]
