"""What does the connection edge ask about the nodes of one cluster?"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connections

from django_gmf_router.postgres.session_options import read_only_options
from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.replicas.addresses import AddressBook
from django_gmf_router.replicas.candidates import nodes_for_reads_of_the_primary, nodes_to_try, shuffled
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.settings.values import ClusterConfig

logger = logging.getLogger("django_gmf_router")


INTERVALS_TO_BE_OVERDUE = 1.5


class Nodes:
    """The nodes of one cluster: their health, the sockets that this process holds to them, how to connect to them."""

    def __init__(self, config: ClusterConfig, monitor: Monitor, sockets: NodeSockets, addresses: AddressBook) -> None:
        """Take what was configured, who watches, what is held, and who knows the servers behind one alias."""
        self._config = config
        self._monitor = monitor
        self._overdue_seconds = INTERVALS_TO_BE_OVERDUE * config.health.interval
        self._refusing: set[str] = set()
        self.sockets = sockets
        self._addresses = addresses

    def is_down(self, node: str) -> bool:
        """Return whether `node` is known to be down."""
        return self._monitor.is_down(node)

    def serves(self, node: str) -> bool:
        """Return whether `node` may take a read that failed elsewhere: up, within the lag limit, and heard of lately.

        What froze one node may have frozen the next, and its probe be about to time out too.
        """
        health = self._monitor.health(node)
        if health.state != State.UP:
            return False
        return health.sampled_at is None or time.monotonic() - health.sampled_at < self._overdue_seconds

    def generation(self, node: str) -> tuple[int, int]:
        """Return what changes whenever `node` comes back or changes, or another server of its alias does."""
        health = self._monitor.health
        return health(node).generation, health(self.alias_of(node)).generation

    def alias_of(self, node: str) -> str:
        """Return the alias that `node` is a server of."""
        return self._addresses.alias_of(node)

    def address(self, node: str) -> dict[str, str]:
        """Return the driver's parameters that make a connection one to `node` and to no other server of its alias."""
        return self._addresses.params(node)

    def failed(self, node: str, error: str, *, timed_out: bool) -> None:
        """Note that an attempt to connect to `node` was refused or timed out: it is down at once.

        Not for one refusal where several servers stand behind its name: the next connection may lead to another.
        """
        if timed_out or not self._monitor.health(node).balanced:
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

    def to_try(self, alias: str, avoid: str | None, *, by_name: bool = False) -> Iterator[str]:
        """Yield the nodes that `alias` may connect to, the best first.

        avoid: the one that a read just failed on; by_name: whether `alias` connects in a way that chooses no address.
        """
        primary = self._config.primary
        nodes = {replica: self._addresses.nodes(replica) for replica in self._config.replica_aliases}
        if by_name:
            nodes[alias] = (alias,)
        replicas = [node for own in nodes.values() for node in own]
        if alias == primary:
            return nodes_for_reads_of_the_primary(primary, replicas=replicas, is_down=self.is_down, avoid=avoid)
        own = self._least_held(nodes[alias])
        if self._monitor.health(own[0]).balanced:
            # Each new connection may lead to another server, also after a read has just failed on one.
            own, avoid = [*own, *own], None
        return nodes_to_try(
            own,
            primary=primary,
            replicas=replicas,
            is_down=self.is_down,
            serves=self.serves,
            avoid=avoid,
        )

    def _least_held(self, nodes: Sequence[str]) -> Sequence[str]:
        """Return the nodes, those first to which this process holds the fewest connections; at random among equals."""
        return nodes if len(nodes) == 1 else sorted(shuffled(nodes), key=self.sockets.count)

    def read_only_params(self, node: str) -> dict[str, Any]:
        """Return the driver's parameters for a read-only connection to `node` on behalf of another alias."""
        alias = self._addresses.alias_of(node)
        params: dict[str, Any] = connections.create_connection(alias).get_connection_params()
        params.update(self.address(node))
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
