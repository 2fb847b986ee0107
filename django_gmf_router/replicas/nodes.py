"""What does the connection edge ask about the nodes of one cluster?"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from django.db import connections

from django_gmf_router.conf import ClusterConfig
from django_gmf_router.replicas.candidates import nodes_for_reads_of_the_primary, nodes_to_try
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.sessions import read_only_options
from django_gmf_router.replicas.sockets import NodeSockets

logger = logging.getLogger("django_gmf_router")


INTERVALS_TO_BE_OVERDUE = 1.5


class Nodes:
    """The nodes of one cluster: their health, the sockets that this process holds to them, how to connect to them."""

    def __init__(self, config: ClusterConfig, monitor: Monitor, sockets: NodeSockets) -> None:
        """Take what was configured, who watches, and what is held."""
        self._config = config
        self._monitor = monitor
        self._overdue_seconds = INTERVALS_TO_BE_OVERDUE * config.health.interval
        self._refusing: set[str] = set()
        self.sockets = sockets

    def is_down(self, node: str) -> bool:
        """Answer whether `node` is known to be down."""
        return self._monitor.is_down(node)

    def serves(self, node: str) -> bool:
        """Answer whether `node` may take a read that failed elsewhere: up, within the lag limit, and heard of lately.

        What froze one node may have frozen the next, and its probe be about to time out too.
        """
        health = self._monitor.health(node)
        if health.state != State.UP:
            return False
        return health.sampled_at is None or time.monotonic() - health.sampled_at < self._overdue_seconds

    def generation(self, node: str) -> int:
        """Answer a number that changes whenever `node` comes back or changes."""
        return self._monitor.health(node).generation

    def failed(self, node: str, error: str, *, timed_out: bool) -> None:
        """Note that an attempt to connect to `node` was refused or timed out: it is down at once.

        Not for one refusal where several servers stand behind its name: the next connection may lead to another.
        """
        if timed_out or node not in self._config.balanced_aliases:
            self._monitor.report_failure(node, error, timed_out=timed_out)

    def refused(self, node: str, error: str) -> None:
        """Log that the server of `node`, which runs, refuses connections: once, until one was taken."""
        if node in self._refusing:
            return
        self._refusing.add(node)
        logger.warning(
            "%s takes no connection: %s",
            node,
            error,
            extra={"event": "retry", "alias": node, "node": node},
        )

    def connected(self, node: str) -> None:
        """Note that `node` has taken a connection."""
        self._refusing.discard(node)

    def to_try(self, alias: str, avoid: str | None) -> Iterator[str]:
        """Yield the nodes that `alias` may connect to, the best first; `avoid` is one that a read just failed on."""
        primary, replicas = self._config.primary, self._config.replica_aliases
        if alias == primary:
            return nodes_for_reads_of_the_primary(primary, replicas=replicas, is_down=self.is_down, avoid=avoid)
        return nodes_to_try(
            alias,
            primary=primary,
            replicas=replicas,
            balanced=self._config.balanced_aliases,
            is_down=self.is_down,
            serves=self.serves,
            avoid=avoid,
        )

    def read_only_params(self, node: str) -> dict[str, Any]:
        """Answer the driver's parameters for a read-only connection to `node` on behalf of another alias."""
        params: dict[str, Any] = connections.create_connection(node).get_connection_params()
        params["options"] = read_only_options(params.get("options"))
        if params.get("target_session_attrs") == "read-write":
            # libpq would refuse every session that is read-only; the server is what is wanted.
            params["target_session_attrs"] = "primary"
        return params

    def moved(self, alias: str, node: str | None, error: Exception) -> None:
        """Log that a read of `alias` that failed on `node` is executed again elsewhere."""
        logger.warning(
            "A read of %s failed on %s and moves to another node: %s",
            alias,
            node,
            type(error).__name__,
            extra={"event": "retry", "alias": alias, "node": node},
        )
