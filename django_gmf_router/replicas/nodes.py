"""What does the connection edge ask about the nodes of one cluster?"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from typing import Any

from django.db import connections

from django_gmf_router.postgres.libpq import add_to_options, read_only_options
from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.postgres.tallies import Tally
from django_gmf_router.replicas.addresses import AddressBook
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.states import NodeStates
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig

logger = logging.getLogger("django_gmf_router")


INTERVALS_TO_BE_OVERDUE = 1.5
Is = Callable[[str], bool]


class Nodes:
    """The nodes of one cluster: their health, the sockets that this process holds to them, how to connect to them."""

    def __init__(self, config: ClusterConfig, states: NodeStates, sockets: NodeSockets, addresses: AddressBook) -> None:
        """Take what was configured, what is known, what is held, and who knows the servers behind one alias."""
        self._primary = config.primary
        self._tiers = {replica.alias: config.tiers(replica.pool) for replica in config.replicas}
        self._tiers[config.primary] = config.tiers(None)
        self._states = states
        # Only these are asked for in the address book.
        self._several = frozenset(alias for alias in config.balanced_aliases if alias in addresses)
        self._overdue_seconds = INTERVALS_TO_BE_OVERDUE * config.health.interval
        self._interval = config.health.interval
        self.moves: Tally[tuple[str, str]] = Tally()
        """By node that was left, and why."""
        # Until when a node that refused is not asked again, in monotonic seconds.
        self._refusing: dict[str, float] = {}
        # Since when a node had been up or down as it took its last connection, in seconds of the wall clock.
        self._taken_since: dict[str, float] = {}
        self.sockets = sockets
        self._addresses = addresses

    def is_down(self, node: str) -> bool:
        """Return whether `node` is known to be down."""
        return self._states.snapshot[node].state == State.DOWN

    def is_out(self, node: str) -> bool:
        """Return whether not to connect to `node`: it is down, drained, or has refused within the last INTERVAL."""
        is_drained = self.alias_of(node) in self._states.drained
        return is_drained or self.is_down(node) or self._refusing.get(node, 0.0) > time.monotonic()

    def is_unknown(self, node: str) -> bool:
        """Return whether nothing was heard of `node` yet."""
        health = self._states.snapshot[node]
        return health.sampled_at is None and health.state == State.UP

    def serves(self, node: str) -> bool:
        """Return whether `node` may take a read that failed elsewhere: up, within the lag limit, and heard of lately.

        What froze one node may have frozen the next, and its probe be about to time out too.
        """
        if self.is_out(node):
            return False
        health = self._states.snapshot[node]
        if health.state != State.UP:
            return False
        return health.sampled_at is None or time.monotonic() - health.sampled_at < self._overdue_seconds

    def is_left(self, node: str) -> bool:
        """Return whether connections to `node` are better made anew, between two requests.

        It is drained, or slow, and another server of its alias is not.
        """
        alias, known = self.alias_of(node), self._states.snapshot
        is_slow = alias != node and known[node].state == State.SLOW and known[alias].state == State.UP
        return is_slow or alias in self._states.drained

    def generation(self, node: str) -> tuple[int, int]:
        """Return what changes whenever `node` comes back or changes, or another server of its alias does."""
        known = self._states.snapshot
        return known[node].generation, known[self.alias_of(node)].generation

    def alias_of(self, node: str) -> str:
        """Return the alias that `node` is a server of."""
        return self._addresses.alias_of(node) if self._several else node

    def address(self, node: str) -> dict[str, str]:
        """Return the driver's parameters that make a connection one to `node` and to no other server of its alias."""
        return self._addresses.params(node) if self._several else {}

    def failed(self, node: str, error: str, *, timed_out: bool, began: float = math.inf) -> None:
        """Note that an attempt to connect to `node` that `began` then failed or timed out: it is down at once.

        Not for one refusal where several servers stand behind its name: the next connection may lead to another. Nor
        for a time-out during which the node answered its probe, or nobody was heard: this process gets too little of
        its processor.
        """
        self._taken_since.pop(node, None)
        health = self._states.snapshot[node]
        if timed_out:
            heard_meanwhile = health.sampled_at is not None and health.sampled_at > began
            is_proof = not heard_meanwhile and not self._states.stood_still(began)
        else:
            is_proof = not health.balanced
        if is_proof:
            self._states.report_failure(node, error)

    def refused(self, node: str, error: str) -> None:
        """Note that the server of `node`, which runs, refuses connections; log it once, until one was taken."""
        is_known = node in self._refusing
        # Not told to the monitor: the server runs, and takes the next connection when one of its others ends.
        self._refusing[node] = time.monotonic() + self._interval
        if not is_known:
            text = "%s takes no connection: %s"
            extra = {"event": "retry", "alias": node, "node": node, "cause": "refused"}
            logger.warning(text, node, error, extra=extra)

    def connected(self, node: str) -> None:
        """Note that `node` has taken a connection."""
        self._refusing.pop(node, None)
        self._taken_since[node] = self._states.snapshot[node].since

    def is_still_down(self, node: str) -> bool:
        """Return whether `node` is known to be down, and has taken no connection of this process since.

        The monitor needs two answers to call it up again. Who has just written there reads it meanwhile.
        """
        return self.is_down(node) and self._taken_since.get(node) != self._states.snapshot[node].since

    def stood_in(self, alias: str, node: str) -> None:
        """Note that a new connection of `alias` is to `node`: a move, where that is no server of the alias."""
        if self.alias_of(node) != alias:
            next(self.moves[alias, "down"])

    def to_try(
        self, alias: str, avoid: Collection[str] = (), *, by_name: bool = False, last: bool = False
    ) -> Iterator[str]:
        """Yield the nodes that `alias` may connect to, the best first.

        avoid: those that a read failed on; by_name: whether `alias` connects in a way that chooses no address; last:
        whether there is no further attempt: the primary first, which replays nothing and ends the series.
        """
        primary = self._primary
        if last and primary not in avoid and not self.is_down(primary):
            others = self.to_try(alias, avoid, by_name=by_name)
            return chain((primary,), (node for node in others if node != primary))
        others = (node for tier in self._tiers[alias] for node in shuffled(self._nodes_in(tier)))
        replicas = [node for node in others if self.alias_of(node) != alias]
        if alias == primary:
            return nodes_for_reads_of_the_primary(primary, replicas=replicas, is_out=self.is_out, avoid=avoid)
        own = (alias,) if by_name else self._least_held(self._nodes_of(alias))
        if self._states.snapshot[own[0]].balanced:
            # Each new connection may lead to another server, also after a read has just failed on one.
            own, avoid = [*own, *own], ()
        return nodes_to_try(
            own,
            primary=primary,
            replicas=replicas,
            is_out=self.is_out,
            serves=self.serves,
            avoid=avoid,
        )

    def _nodes_in(self, tier: Sequence[ReplicaConfig]) -> list[str]:
        return [node for replica in tier for node in self._nodes_of(replica.alias)]

    def _nodes_of(self, alias: str) -> tuple[str, ...]:
        return self._addresses.nodes(alias) if alias in self._several else (alias,)

    def _least_held(self, nodes: Sequence[str]) -> Sequence[str]:
        """Return the nodes, those first to which this process holds the fewest connections; at random among equals."""
        return nodes if len(nodes) == 1 else sorted(shuffled(nodes), key=self.sockets.count)

    def read_only_params(self, node: str) -> dict[str, Any]:
        """Return the driver's parameters for a read-only connection to `node` on behalf of another alias."""
        alias = self.alias_of(node)
        params: dict[str, Any] = connections.create_connection(alias).get_connection_params()
        params.update(self.address(node))
        add_to_options(params, read_only_options)
        if params.get("target_session_attrs") == "read-write":
            # libpq would refuse every session that is read-only; the server is what is wanted.
            params["target_session_attrs"] = "primary"
        return params

    def moved(self, alias: str, node: str, cause: str, request: str) -> None:
        """Log and count that a read of `alias` that failed on `node` is executed again elsewhere.

        cause: "conflict" with replay, or the session was "lost"; request: `METHOD /path`, empty outside requests.
        """
        next(self.moves[node, cause])
        text = "%s: a read of %s failed on %s (%s) and moves to another node."
        extra = {"event": "retry", "alias": alias, "node": node, "cause": cause, "unit": request}
        logger.warning(text, request or "Outside requests", alias, node, cause, extra=extra)


def nodes_to_try(
    own: Sequence[str],
    *,
    primary: str,
    replicas: Sequence[str],
    is_out: Is,
    serves: Is,
    avoid: Collection[str] = (),
) -> Iterator[str]:
    """Yield the nodes for a replica's alias: its own unless out, then other healthy ones, at last the primary.

    `own`: one, or several, the best first, of which those that serve are preferred; `replicas`: the others that
    stand in for it, in the order in which they do; `serves`: up, and within the lag limit; `avoid`: the nodes that a
    read failed on.
    """
    alive = [node for node in own if node not in avoid and not is_out(node)]
    # Of several servers one that lags or is slow serves where no other is left.
    yield from [node for node in alive if len(own) > 1 and serves(node)] or alive
    yield from (node for node in replicas if node not in avoid and serves(node))
    yield primary


def nodes_for_reads_of_the_primary(
    primary: str, *, replicas: Sequence[str], is_out: Is, avoid: Collection[str] = ()
) -> Iterator[str]:
    """Yield the nodes for reads of the primary's alias that a replica may serve while the primary is away."""
    is_first = primary not in avoid and not is_out(primary)
    if is_first:
        yield primary
    yield from (node for node in replicas if node not in avoid and not is_out(node))
    if not is_first:
        # It may be back, and nobody has noticed yet.
        yield primary


def shuffled(nodes: Sequence[str]) -> list[str]:
    """Return the nodes in random order."""
    return random.sample(nodes, len(nodes))
