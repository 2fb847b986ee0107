"""Which nodes has each alias now?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from django_gmf_router.replicas.health import NodeHealth

LookUp = Callable[[], tuple[str, ...]]


class Membership:
    """The nodes of the aliases that are several servers, and how often connections had to be spread anew."""

    def __init__(self, look_up: Mapping[str, LookUp]) -> None:
        """Take for each alias that is several servers what answers its nodes; nothing is looked up yet."""
        self.look_up = look_up
        self._nodes: dict[str, tuple[str, ...]] = dict.fromkeys(look_up, ())
        self._changes = dict.fromkeys(look_up, 0)

    def __contains__(self, alias: object) -> bool:
        return alias in self.look_up

    def nodes(self, alias: str) -> tuple[str, ...]:
        """Return the nodes of an alias as they were looked up last; itself where it is one server."""
        return self._nodes.get(alias, (alias,))

    def placed(self, health: NodeHealth) -> NodeHealth:
        """Return the health of a node, balanced where it is the only address of its alias: a balancer stands there."""
        for nodes in self._nodes.values():
            if health.alias in nodes:
                return replace(health, balanced=len(nodes) == 1)
        return health

    def changes(self, alias: str) -> int:
        """Return a number that is raised when the nodes of `alias` change or one of them is back."""
        return self._changes[alias]

    def replace(self, alias: str, nodes: tuple[str, ...]) -> bool:
        """Take what was looked up; return whether it is something else. Nothing found is no answer."""
        if not nodes or nodes == self._nodes[alias]:
            return False
        self._nodes[alias] = nodes
        self._changes[alias] += 1
        return True

    def note_return(self, node: str) -> None:
        """Take it that `node` is back, restarted or has another role."""
        for alias, nodes in self._nodes.items():
            self._changes[alias] += node in nodes
