"""WHICH replica serves a unit of work?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from django.db import connections
from django.test import utils as test_utils

from django_gmf_router.conf import ReplicaConfig


class Balancer(Protocol):
    """How to pick among equals."""

    def pick(self, candidates: Sequence[tuple[str, float]]) -> str:
        """Answer one alias of `candidates`, pairs of alias and weight; there must be one."""


class ReplicaPool:
    """The replicas of one cluster to pick from."""

    def __init__(self, *, primary: str, replicas: Sequence[ReplicaConfig], balancer: Balancer) -> None:
        """Take the replicas of `primary` and how to pick among them."""
        self._primary = primary
        self._candidates = tuple((replica.alias, replica.weight) for replica in replicas)
        self._balancer = balancer

    def pick(self) -> str | None:
        """Answer a replica's alias, or None where the primary has to serve."""
        return self._balancer.pick(self._candidates) if self._candidates else None

    def is_mirrored(self, alias: str) -> bool:
        """Answer whether this is a test run in which reads of the replica `alias` use the primary's connection.

        A TestCase's rows are in its open transaction on the primary, which no other connection sees.
        """
        # Django's own mark of a test run: setup_test_environment() sets it, teardown_test_environment() removes it.
        state: Any = getattr(test_utils, "_TestState")  # noqa: B009
        return hasattr(state, "saved_data") and connections.settings[alias]["TEST"]["MIRROR"] == self._primary
