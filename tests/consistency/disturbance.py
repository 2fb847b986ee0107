"""How do the replicas come to lag during a run? Replay is paused and resumed at random, and one crashes."""

from __future__ import annotations

import random
import threading
from types import TracebackType

from django_gmf_router.testing import LocalCluster

REPLICAS = ("replica_1", "replica_2")
PAUSED_SECONDS = (0.02, 1.5)
BETWEEN_SECONDS = (0.0, 0.3)
PAUSES_TO_A_CRASH = 4


class Disturbance:
    """A block during which the replicas lag at random; whole again after it."""

    def __init__(
        self,
        cluster: LocalCluster,
        seed: int,
        *,
        paused_seconds: tuple[float, float] = PAUSED_SECONDS,
        between_seconds: tuple[float, float] = BETWEEN_SECONDS,
        crashes: bool = True,
    ) -> None:
        """Begin with the block; the shortest and the longest pause, and time between two."""
        self._cluster = cluster
        self._random = random.Random(seed)
        self._paused_seconds = paused_seconds
        self._between_seconds = between_seconds
        self._may_crash = crashes
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._disturb)
        self.error: BaseException | None = None
        self.pauses = 0
        self.crashes = 0

    def __enter__(self) -> Disturbance:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._cluster.heal()
        if self.error is not None and error is None:
            raise self.error

    def _disturb(self) -> None:
        try:
            while not self._over.is_set():
                self._pause()
                if self._may_crash and self.pauses % PAUSES_TO_A_CRASH == 0:
                    self._crash(self._random.choice(REPLICAS))
        except BaseException as error:  # noqa: BLE001  it is raised where the block ends
            self.error = error

    def _crash(self, replica: str) -> None:
        """End a replica as in a crash, so that it replays again what it had replayed, and start it."""
        self._cluster.kill(replica)
        self._cluster.restart(replica)
        self.crashes += 1

    def _pause(self) -> None:
        """Pause one replica or both for a while."""
        paused = self._random.sample(REPLICAS, self._random.randint(1, len(REPLICAS)))
        for replica in paused:
            self._cluster.pause(replica)
        self.pauses += 1
        self._over.wait(self._random.uniform(*self._paused_seconds))
        for replica in paused:
            self._cluster.resume(replica)
        self._over.wait(self._random.uniform(*self._between_seconds))
