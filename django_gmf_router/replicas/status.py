"""How are the nodes of the clusters, for an operator?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django_gmf_router.conf import ClusterConfig
from django_gmf_router.decision import PRIMARY, REPLICA
from django_gmf_router.replicas.probes import Reading, probe

ALL_UP, DEGRADED, NO_PRIMARY = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One node: `share` is the part of the reads it is meant to serve, 0 to 1; `lag` is in seconds, None unknown."""

    cluster: str
    alias: str
    role: str
    state: str
    lag: float | None = None
    position: str | None = None
    share: float | None = None
    error: str | None = None


def statuses(config: ClusterConfig, connection: Callable[[str], Any]) -> Iterator[NodeStatus]:
    """Probe the nodes of a cluster; `connection` answers the wrapper of an alias."""
    total = sum(replica.weight for replica in config.replicas)
    yield _status(config, PRIMARY, config.primary, probe(connection(config.primary)), None)
    for replica in config.replicas:
        yield _status(config, REPLICA, replica.alias, probe(connection(replica.alias)), replica.weight / total)


def exit_code(nodes: list[NodeStatus]) -> int:
    """Answer 0 if all nodes are up, 1 if one is not, 2 if a primary is missing."""
    down = [node for node in nodes if node.state != "up"]
    if any(node.role == PRIMARY for node in down):
        return NO_PRIMARY
    return DEGRADED if down else ALL_UP


def _status(config: ClusterConfig, role: str, alias: str, reading: Reading, share: float | None) -> NodeStatus:
    error = reading.error
    if reading.up and reading.role not in {None, role}:
        error = f"The server says that it is a {reading.role}."
    return NodeStatus(
        cluster=config.primary,
        alias=alias,
        role=role,
        state="down" if error else "up",
        share=share,
        error=error,
    )
