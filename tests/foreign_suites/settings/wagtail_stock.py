"""The suite over Django's own engine: the baseline."""

from __future__ import annotations

import os
import tempfile

# Found among the packages of the suite.
from wagtail.test.settings import *  # noqa: F403
from wagtail.test.settings import DATABASES

TEST_RUNNER = "tests.django_suites.recorder.RecordingRunner"
# Two runs at a time have files and databases of their own. The site is made once, before both.
MEDIA_ROOT = f"{tempfile.gettempdir()}/media"
STATIC_ROOT = f"{tempfile.gettempdir()}/static"
DATABASES["default"]["TEST"] = {
    "NAME": f"test_{os.environ['GMF_SUITE_VARIANT']}",
    "TEMPLATE": DATABASES["default"]["NAME"],
    "MIGRATE": False,
}
