"""The suite over django-tenants' own engine: the baseline."""

from __future__ import annotations

import os
import sys

if os.environ.get("GMF_TEST_DRIVER") == "psycopg2":
    # Django takes psycopg 3 wherever it can be imported.
    sys.modules["psycopg"] = None  # type: ignore[assignment]

# Found in the folder of the test project, where the suite runs.
from dts_test_project.settings import *  # noqa: F403

TEST_RUNNER = "tests.django_suites.recorder.RecordingRunner"
