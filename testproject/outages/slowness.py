"""How is a server made slow, and not dead? It sleeps most of the time."""

from __future__ import annotations

import threading

from django_gmf_router.testing import LocalCluster, LocalClusterError

ASLEEP_SECONDS, AWAKE_SECONDS = 0.8, 0.1


class Slowness:
    """Freezes a server again and again until it is ended, or until the server is gone."""

    def __init__(self, cluster: LocalCluster, node: str) -> None:
        self._cluster, self._node = cluster, node
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"slow-{node}", daemon=True)
        self._thread.start()

    def is_going_on(self) -> bool:
        """Return whether the server is slow."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Let the server run, and return when it does."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._cluster.freeze(self._node)
                self._over.wait(ASLEEP_SECONDS)
                self._cluster.thaw(self._node)
                self._over.wait(AWAKE_SECONDS)
        except LocalClusterError:
            # It was stopped or killed meanwhile.
            return
