"""WHICH replica serves a unit of work?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from django.db import connections
from django.test import utils as test_utils

from django_gmf_router.conf import ReplicaConfig
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.monitor import Monitor

logger = logging.getLogger("django_gmf_router")

NO_REPLICA = {"event": "no_replica"}


class Balancer(Protocol):
    """How to pick among equals."""

    def pick(self, candidates: Sequence[tuple[str, float]]) -> str:
        """Answer one alias of `candidates`, pairs of alias and weight; there must be one."""


class ReplicaPool:
    """The replicas of one cluster to pick from."""

    def __init__(
        self, *, primary: str, replicas: Sequence[ReplicaConfig], balancer: Balancer, monitor: Monitor
    ) -> None:
        """Take the replicas of `primary`, how to pick among them, and who knows which of them may serve."""
        self._primary = primary
        self._all = tuple((replica.alias, replica.weight) for replica in replicas)
        self._balancer = balancer
        self._monitor = monitor
        # The snapshot that was looked at last, and who may serve by it; replaced in one step.
        self._seen: tuple[object, tuple[tuple[str, float], ...]] = (None, self._all)

    def pick(self) -> str | None:
        """Answer a replica's alias, or None where the primary has to serve."""
        if not self._all:
            return None
        if self.is_mirrored(self._all[0][0]):
            return self._balancer.pick(self._all)
        self._monitor.ensure()
        candidates = self._candidates()
        return self._balancer.pick(candidates) if candidates else None

    def primary_is_down(self) -> bool:
        """Answer whether the primary is known to be down."""
        return self._monitor.is_down(self._primary)

    def _candidates(self) -> tuple[tuple[str, float], ...]:
        snapshot = self._monitor.snapshot
        seen, candidates = self._seen
        if seen is not snapshot:
            candidates = tuple(pair for pair in self._all if snapshot[pair[0]].state == State.UP)
            if not candidates and self._seen[1]:
                logger.warning("No replica of %s may serve: the primary does.", self._primary, extra=NO_REPLICA)
            self._seen = (snapshot, candidates)
        return candidates

    def is_mirrored(self, alias: str) -> bool:
        """Answer whether this is a test run in which reads of the replica `alias` use the primary's connection.

        A TestCase's rows are in its open transaction on the primary, which no other connection sees.
        """
        # Django's own mark of a test run: setup_test_environment() sets it, teardown_test_environment() removes it.
        state: Any = getattr(test_utils, "_TestState")  # noqa: B009
        return hasattr(state, "saved_data") and connections.settings[alias]["TEST"]["MIRROR"] == self._primary
