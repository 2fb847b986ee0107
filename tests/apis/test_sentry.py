"""Does Sentry get what its page says: nothing of an outage, each node that goes down, and who served on each event?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.docs.pages import ROOT
from tests.unit.docs.running import example

PAGE = "docs/how-to/sentry.md"
SETTINGS = """
from tests.settings import *
INSTALLED_APPS = [*INSTALLED_APPS, "office"]
ROOT_URLCONF = "office.urls"
ALLOWED_HOSTS = ["office"]
"""
URLS = """
import asyncio
import sentry_sdk
from django.db import router
from django.http import HttpResponse
from django.urls import path
from tests.books.models import Book

async def view(request):
    alias = str(router.db_for_read(Book))
    await asyncio.sleep(0)  # to the others, which read elsewhere
    sentry_sdk.capture_message(alias)
    return HttpResponse()

urlpatterns = [path("", view)]
"""
# In a process of its own: Sentry puts itself into Django's classes, and stays there.
BEGIN = """
import asyncio, json, django
django.setup()
import httpx, sentry_sdk
from django.core.asgi import get_asgi_application
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
"""
SENT = """
sentry_sdk.capture_exception(PrimaryUnavailable("default"))
sentry_sdk.capture_exception(ValueError("a bug"))
with unit_of_work():
    alias = str(router.db_for_read(Book))
    sentry_sdk.capture_message("where from?")
clusters.registry().clusters[0].monitor.report_failure("replica_2", "connection refused")
print(json.dumps([alias, sent]))
"""
AT_ONCE = """
async def ask():
    transport = httpx.ASGITransport(get_asgi_application())
    async with httpx.AsyncClient(transport=transport, base_url="http://office") as client:
        await asyncio.gather(*(client.get("/") for _ in range(40)))

asyncio.run(ask())
print(json.dumps([[event["message"], event["tags"]["gmf.alias"]] for event in sent]))
"""
Run = Callable[[str], Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run Python in a site that has what the page says, and return the last line that it prints."""
    (office := tmp_path / "office").mkdir()
    (office / "__init__.py").touch()
    (office / "settings.py").write_text(SETTINGS + example(PAGE, "# settings.py").text)
    (office / "apps.py").write_text(example(PAGE, "# office/apps.py").text)
    (office / "urls.py").write_text(URLS)
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "office.settings",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
    }

    def run(code: str) -> Any:
        command = [sys.executable, "-c", BEGIN + code]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_requests_that_are_served_at_once_by_asgi_have_each_its_own_alias(run: Run) -> None:
    told = run(AT_ONCE)
    assert len(told) == 40
    assert [served for served, tagged in told if served != tagged] == []
    assert len({tagged for _, tagged in told}) == 2


def test_sentry_gets_what_its_page_says(run: Run) -> None:
    alias, (bug, message, node) = run(SENT)
    assert bug["exception"]["values"][0]["value"] == "a bug"
    assert (message["message"], message["tags"]) == ("where from?", {"gmf.alias": alias, "gmf.reason": "unit_of_work"})
    assert alias in {"replica_1", "replica_2"}
    assert (node["message"], node["level"]) == ("replica_2 of default is down: connection refused", "error")
    assert node["fingerprint"] == ["gmf node down", "replica_2"]
