"""Do this package's errors survive a pickle and a queue of jobs, which make them anew from their arguments?"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import pytest

from django_gmf_router.exceptions import MaintenanceMode, PrimaryBusy, PrimaryUnavailable
from tests.unit.docs.pages import ROOT

ERRORS = [
    PrimaryUnavailable("default"),
    PrimaryUnavailable("default", "connection refused"),
    PrimaryUnavailable("default", "the socket closed", may_be_saved=True),
    PrimaryBusy("default", 4),
    MaintenanceMode("default"),
    MaintenanceMode("default", "The disks are changed."),
]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_an_error_says_the_same_on_the_other_side_of_a_pickle(error: PrimaryUnavailable) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.outcome) == (type(error), str(error), error.outcome)


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_an_error_says_the_same_where_a_queue_makes_it_from_its_arguments(error: PrimaryUnavailable) -> None:
    again = type(error)(*json.loads(json.dumps(error.args)))
    assert (str(again), again.outcome) == (str(error), error.outcome)


def test_settings_may_import_them() -> None:
    code = "import django_gmf_router.exceptions"
    outside = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=outside, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
