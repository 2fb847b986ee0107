"""Has a node replayed what a client wrote?"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error, connections

from django_gmf_router.consistency.tokens import Mark
from django_gmf_router.postgres.positions import LARGEST, number_of
from django_gmf_router.replicas.health import Candidates, State
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.settings.values import ClusterConfig

REPLAYED = f"SELECT pg_is_in_recovery(), {number_of('pg_last_wal_replay_lsn()')}"


class Freshness:
    """What is known of the positions of the nodes of one cluster, and how to ask for what is not."""

    def __init__(self, config: ClusterConfig, monitor: Monitor) -> None:
        """Take the aliases that are more than one server, and what is known of the nodes."""
        self._primary = config.primary
        self._balanced = config.balanced_aliases
        self._monitor = monitor
        # By alias the generation of the node and the largest position that it was seen to have replayed.
        self._replayed: dict[str, tuple[int, int]] = {}

    def is_of_this_history(self, mark: Mark) -> bool:
        """Return whether the primary of now, or the last one that was seen, goes on where the one of `mark` stood.

        After a promotion the same position may hold other data: then, and before a primary was seen, nobody can tell.
        """
        primary = self._monitor.snapshot[self._primary]
        if primary.timeline is None or mark.timeline != primary.timeline:
            return False
        return None in {mark.system_identifier, primary.system_identifier} or (
            mark.system_identifier == primary.system_identifier
        )

    def is_by_time(self, node: str) -> bool:
        """Return whether time alone says if `node` has a write: its server, or the primary, tells no position."""
        return not self._monitor.by_time.isdisjoint((self._primary, node))

    def follows(self, node: str, mark: Mark) -> bool:
        """Return whether `node` is known to replay what the primary that `mark` names writes.

        By position alone a replica that a promotion left behind has what the new primary wrote up to there. Of an alias
        that is several servers nobody can tell. While the primary is away the replica must have been at the position of
        `mark` when it was first seen since: what it replays later may be another's.
        """
        if self.is_by_time(node):
            return False
        is_away = self._monitor.snapshot[self._primary].state != State.UP
        if node in self._balanced:
            members = {*self._monitor.members(node)} - {node}
            return not is_away or any(self.follows(member, mark) for member in members)
        health = self._monitor.snapshot[node]
        if is_away and (health.balanced or (health.proven is not None and health.proven < (mark.position or 0))):
            return False
        return health.follows == mark.timeline

    def is_known_to_have(self, alias: str, position: int) -> bool:
        """Return whether the connection of `alias` is known to see `position`, at no cost: positions only grow.

        Not where an alias is several servers, nor where this thread's connection has moved, nor where the server was
        started anew since it was asked: after a crash it may replay what it had replayed before once more.
        """
        if alias in self._balanced or not self._is_at_home(alias):
            return False
        health = self._monitor.snapshot[alias]
        known = health.position or 0
        generation, replayed = self._replayed.get(alias, (health.generation, 0))
        if generation == health.generation:
            known = max(known, replayed)
        return known >= position and self._monitor.is_connected(alias)

    def connected(self, candidates: Candidates) -> Candidates:
        """Return those to which this thread is connected, all where it is to none: asking costs less than connecting.

        Candidates are pairs of alias and weight.
        """
        return tuple(pair for pair in candidates if connections[pair[0]].connection is not None) or candidates

    def has(self, alias: str, mark: Mark) -> bool:
        """Ask on the connection in use whether it sees what `mark` says: one query, on the replica.

        False where it cannot be asked: in an event loop's thread, or as the node fails.
        """
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute(REPLAYED)
                replayed = self._note(alias, *cursor.fetchone())
        except (Error, SynchronousOnlyOperation):
            return False
        # Meanwhile it may have moved to another node.
        node = self.node_of(alias)
        return replayed >= (mark.position or 0) and (node == self._primary or self.follows(node, mark))

    def node_of(self, alias: str) -> str:
        """Return the node that this thread's connection of `alias` is on, or was on last; by default its own."""
        return getattr(connections[alias], "node", None) or alias

    def sees(self, node: str, connection: Any, mark: Mark) -> bool:
        """Ask on a driver's new connection to the replica `node` whether it sees what `mark` says."""
        if mark.position is None or not self.is_of_this_history(mark) or not self.follows(node, mark):
            return False
        # Else the driver would begin a transaction, and leave it open.
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(REPLAYED)
            in_recovery, replayed = cursor.fetchone()
        return bool(in_recovery and replayed) and bool(replayed >= mark.position)

    def _note(self, alias: str, in_recovery: bool, replayed: int | None) -> int:
        if not in_recovery:
            # A read that moved to the primary sees all; a replica that was promoted is on a timeline of its own.
            return LARGEST if self.node_of(alias) == self._primary else 0
        position = replayed or 0
        if self._is_at_home(alias):
            generation = self._monitor.snapshot[alias].generation
            known = self._replayed.get(alias, (generation, 0))
            self._replayed[alias] = (generation, max(position, known[1] if known[0] == generation else 0))
        return position

    def _is_at_home(self, alias: str) -> bool:
        # A wrapper that has no connection yet will connect to its own node first.
        return connections[alias].connection is None or self.node_of(alias) == alias
