"""Does Sentry get what its page says: nothing of an outage, each node that goes down, and who served on each event?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.docs.pages import ROOT
from tests.unit.docs.running import example

PAGE = "docs/how-to/sentry.md"
SETTINGS = """
from tests.settings import *
INSTALLED_APPS = [*INSTALLED_APPS, "office"]
"""
# In a process of its own: Sentry puts itself into Django's classes, and stays there.
SENT = """
import json, django
django.setup()
import sentry_sdk
from django.db import router
from sentry_sdk.transport import Transport
from django_gmf_router import clusters, unit_of_work
from django_gmf_router.exceptions import PrimaryUnavailable
from tests.books.models import Book

sent = []

class Kept(Transport):
    def capture_envelope(self, envelope):
        sent.extend(item.payload.json for item in envelope.items if item.type == "event")

sentry_sdk.get_client().transport = Kept()
sentry_sdk.capture_exception(PrimaryUnavailable("default"))
sentry_sdk.capture_exception(ValueError("a bug"))
with unit_of_work():
    alias = str(router.db_for_read(Book))
    sentry_sdk.capture_message("where from?")
clusters.registry().clusters[0].monitor.report_failure("replica_2", "connection refused")
print(json.dumps([alias, sent]))
"""


@pytest.fixture
def sent(tmp_path: Path) -> tuple[str, list[dict[str, Any]]]:
    """The alias that a read went to, and the events that Sentry was sent."""
    (office := tmp_path / "office").mkdir()
    (office / "__init__.py").touch()
    (office / "settings.py").write_text(SETTINGS + example(PAGE, "# settings.py").text)
    (office / "apps.py").write_text(example(PAGE, "# office/apps.py").text)
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    done = subprocess.run(
        [sys.executable, "-c", SENT],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "office.settings", "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    alias, events = json.loads(done.stdout.splitlines()[-1])
    return alias, events


def test_sentry_gets_what_its_page_says(sent: tuple[str, list[dict[str, Any]]]) -> None:
    alias, (bug, message, node) = sent
    assert bug["exception"]["values"][0]["value"] == "a bug"
    assert (message["message"], message["tags"]) == ("where from?", {"gmf.alias": alias, "gmf.reason": "unit_of_work"})
    assert alias in {"replica_1", "replica_2"}
    assert (node["message"], node["level"]) == ("replica_2 of default is down: connection refused", "error")
    assert node["fingerprint"] == ["gmf node down", "replica_2"]
