"""How does each test of a suite end when it runs inside use_replica()?"""

from __future__ import annotations

from typing import Any

from django_gmf_router import use_replica
from tests.django_suites.recorder import RecordingResult, RecordingRunner


class ReplicaResult(RecordingResult):
    """A result that keeps a use_replica() block open while a test runs."""

    def startTest(self, test: Any) -> None:  # noqa: N802
        super().startTest(test)
        self._block = use_replica()
        self._block.__enter__()

    def stopTest(self, test: Any) -> None:  # noqa: N802
        self._block.__exit__(None, None, None)
        super().stopTest(test)


class ReplicaRunner(RecordingRunner):
    """The runner that opens these blocks."""

    def get_resultclass(self) -> type[RecordingResult]:
        return ReplicaResult
