"""WHICH replica serves a unit of work?"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from django.db import connections

from django_gmf_router.marks import Mark
from django_gmf_router.replicas.freshness import Freshness
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.settings.values import ReplicaConfig

logger = logging.getLogger("django_gmf_router")

NO_REPLICA = {"event": "no_replica"}
Candidates = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client has written in this cluster: its mark, and the seconds of the wall clock when it wrote."""

    mark: Mark
    time: float


class Balancer(Protocol):
    """How to pick among equals."""

    def pick(self, candidates: Sequence[tuple[str, float]], key: str | None = None) -> str:
        """Return one alias of `candidates`, pairs of alias and weight; there must be one. `key` names the client."""


class ReplicaPool:
    """The replicas of one cluster to pick from."""

    def __init__(
        self,
        *,
        primary: str,
        replicas: Sequence[ReplicaConfig],
        balancer: Balancer,
        monitor: Monitor,
        freshness: Freshness,
        window_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the replicas of `primary`, how to pick among them, and who knows which of them may serve.

        window_seconds: how long a write without a position keeps its client's reads on the primary.
        """
        self._primary = primary
        self._all = tuple((replica.alias, replica.weight) for replica in replicas)
        self._balancer = balancer
        self._monitor = monitor
        self._freshness = freshness
        self._window = window_seconds
        self._clock = clock
        # The snapshot that was looked at last, and who may serve by it; replaced in one step.
        self._seen: tuple[object, Candidates] = (None, self._all)

    def pick(self, wanted: Wanted | None = None, key: str | None = None) -> tuple[str | None, str]:
        """Return a replica's alias and "", or None and the reason why the primary has to serve.

        wanted: what the client must be able to read; key: the client, for balancers that care.
        """
        if self._all and self.is_mirrored(self._all[0][0]):
            return self._balancer.pick(self._all, key), ""
        self._monitor.ensure()
        candidates = self._candidates()
        if not candidates:
            return None, "no_replica"
        if wanted is None or self._is_over(wanted):
            return self._balancer.pick(candidates, key), ""
        alias = self._pick_fresh(candidates, wanted.mark, key)
        return (alias, "") if alias else (None, "consistency")

    def primary_is_down(self) -> bool:
        """Return whether the primary is known to be down."""
        return self._monitor.is_down(self._primary)

    def is_mirrored(self, alias: str) -> bool:
        """Return whether this is a test run in which reads of the replica `alias` use the primary's connection.

        A TestCase's rows are in its open transaction on the primary, which no other connection sees.
        """
        # Django's own mark of a test run: setup_test_environment() sets it, teardown_test_environment() removes it. To
        # import the module would load all of django.test into every web process.
        utils = sys.modules.get("django.test.utils")
        return (
            utils is not None
            and hasattr(utils._TestState, "saved_data")
            and connections.settings[alias]["TEST"]["MIRROR"] == self._primary
        )

    def _is_over(self, wanted: Wanted) -> bool:
        return wanted.mark.position is None and self._clock() - wanted.time > self._window

    def _pick_fresh(self, candidates: Candidates, mark: Mark, key: str | None) -> str | None:
        position = mark.position
        if position is None or not self._freshness.is_of_this_history(mark):
            return None
        candidates = tuple(pair for pair in candidates if self._freshness.follows(pair[0], mark))
        known = tuple(pair for pair in candidates if self._freshness.is_known_to_have(pair[0], position))
        if known or not candidates:
            return self._balancer.pick(known, key) if known else None
        alias = self._balancer.pick(candidates, key)
        return alias if self._freshness.has(alias, mark) else None

    def _candidates(self) -> Candidates:
        snapshot = self._monitor.snapshot
        seen, candidates = self._seen
        if seen is not snapshot:
            candidates = tuple(pair for pair in self._all if snapshot[pair[0]].state == State.UP)
            if not candidates and self._seen[1]:
                logger.warning("No replica of %s may serve: the primary does.", self._primary, extra=NO_REPLICA)
            self._seen = (snapshot, candidates)
        return candidates
