"""How does Django set itself up for its suites? The baseline, without this package."""

from __future__ import annotations

# Found in the folder of Django's suites, where they run.
from test_sqlite import *  # noqa: F403

TEST_RUNNER = "tests.django_suites.recorder.RecordingRunner"
