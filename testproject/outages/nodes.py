"""What can happen to a replica, and what has happened to it?"""

from __future__ import annotations

import threading
from collections.abc import Callable

from django_gmf_router.testing import LocalCluster, LocalClusterError
from testproject.outages.slowness import Slowness


class Replicas:
    """The replicas of a cluster, to be broken and mended; of one process."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._names = cluster.nodes[1:]
        self._lock = threading.Lock()
        self._slow: dict[str, Slowness] = {}
        self._paused: set[str] = set()
        self.actions: dict[str, Callable[[str], None]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "pause": self._pause,
            "slow": self._make_slow,
            "restart": self._restart,
        }

    def states(self) -> dict[str, str]:
        """Return how each one is, in a word."""
        return {node.name: self._word(node.name, node.state) for node in self._cluster.status()[1:]}

    def act(self, action: str, node: str) -> None:
        """Do one of `actions` to a replica. Raise LocalClusterError for what cannot be done, KeyError for no action."""
        if node not in self._names:
            raise LocalClusterError(f"{node!r} is no replica: there are {', '.join(self._names)}")
        # One after the other: what a server is comes of the last one.
        with self._lock:
            self.actions[action](node)

    def end(self) -> None:
        """Let the slow ones run, so that the cluster can be taken down."""
        for node in self._names:
            self._wake(node)

    def _kill(self, node: str) -> None:
        self._wake(node)
        self._cluster.kill(node)

    def _freeze(self, node: str) -> None:
        self._wake(node)
        self._cluster.freeze(node)

    def _pause(self, node: str) -> None:
        self._wake(node)
        self._cluster.pause(node)
        self._paused.add(node)

    def _make_slow(self, node: str) -> None:
        self._wake(node)
        self._slow[node] = Slowness(self._cluster, node)

    def _restart(self, node: str) -> None:
        self._wake(node)
        self._cluster.restart(node)
        # It begins to replay anew when it starts.
        self._paused.discard(node)

    def _wake(self, node: str) -> None:
        if slowness := self._slow.pop(node, None):
            slowness.end()

    def _word(self, node: str, state: str) -> str:
        if node in self._slow and self._slow[node].is_going_on():
            return "slow"
        return "paused" if state == "running" and node in self._paused else state
