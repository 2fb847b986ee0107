"""Which replicas replay what the primary of now writes?

A replica that was left behind by a promotion keeps its position, which the new primary passes: by the number alone it
has what was written there since. Its timeline would tell, but is not shown truly to everybody. So a replica counts once
it was seen to come to a position of this primary that lay beyond its own, or to stand exactly where the primary does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from django_gmf_router.replicas.health import NodeHealth
from django_gmf_router.replicas.lag import is_another, reachable
from django_gmf_router.replicas.probes import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A replica's way since it was first seen, under one generation: the place to come to, and whether it did."""

    generation: int
    first: int
    goal: int | None = None
    follows: bool = False


class Following:
    """What was seen of the replicas since the primary is the one it is."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._primary: Reading | None = None
        self._ways: dict[str, Way] = {}

    def primary(self, reading: Reading) -> None:
        """Take a reading of the primary."""
        if self._primary is not None and is_another(self._primary, reading):
            self._ways.clear()
        self._primary = reading

    def replica(self, health: NodeHealth) -> int | None:
        """Take what is known of a replica now; return the timeline that it is known to follow."""
        goal = None if self._primary is None else reachable(self._primary)
        if health.position is None or goal is None or self._primary is None:
            return None
        way = self._ways.get(health.alias)
        if way is None or way.generation != health.generation:
            way = Way(generation=health.generation, first=health.position)
        if way.goal is None and goal > way.first:
            way = replace(way, goal=goal)
        if health.position == goal or (way.goal is not None and health.position >= way.goal):
            way = replace(way, follows=True)
        self._ways[health.alias] = way
        return self._primary.timeline if way.follows else None
