"""How did each test of a suite end? A test runner that writes it to the file GMF_SUITE_OUTCOMES names."""

from __future__ import annotations

import json
import os
import unittest
from pathlib import Path
from typing import Any

from django.test.runner import DiscoverRunner

OUTCOMES_VARIABLE = "GMF_SUITE_OUTCOMES"


class RecordingResult(unittest.TextTestResult):
    """A result that also keeps, by test id, how the test ended and what it said."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outcomes: dict[str, dict[str, str]] = {}

    def startTest(self, test: Any) -> None:  # noqa: N802
        super().startTest(test)
        # A test that says nothing more has passed: unittest reports no success for one whose subtests were skipped.
        self._note(test, "passed")

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        self._note(test, "error", self.errors[-1][1])

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        self._note(test, "failure", self.failures[-1][1])

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(test, "failure" if issubclass(err[0], test.failureException) else "error", str(err[1]))

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self._note(test, "skipped", reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addExpectedFailure(test, err)
        self._note(test, "expected failure")

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        self._note(test, "unexpected success")

    def _note(self, test: Any, outcome: str, said: str = "") -> None:
        self.outcomes[test.id()] = {"outcome": outcome, "said": said}


class RecordingRunner(DiscoverRunner):
    """Django's runner, which writes the outcomes when the suite has run."""

    def get_resultclass(self) -> type[RecordingResult]:
        return RecordingResult

    def run_suite(self, suite: Any, **kwargs: Any) -> Any:
        result = super().run_suite(suite, **kwargs)
        Path(os.environ[OUTCOMES_VARIABLE]).write_text(json.dumps(result.outcomes, indent=1), encoding="utf-8")
        return result
