"""Can a newcomer paste what the README shows, and find the page he needs?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT, blocks

README = "README.md"
PASTED = re.compile(r"# at the end of (\w+\.py)\n")
IN_THE_SITE = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": str(ROOT),
    # Of the environment that runs this nothing else is known to the site.
    "DJANGO_SETTINGS_MODULE": "office.settings",
}
LOCAL = {
    "DATABASE_URL": "postgres://gmf:secret@127.0.0.1:15432/gmf",
    "DATABASE_REPLICA_URLS": "postgres://gmf:secret@127.0.0.1:15433/gmf",
}

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run Python in a site that `startproject` made and the README completed; return what it prints."""

    def run_it(*arguments: str, **variables: str) -> str:
        command = [sys.executable, "-W", "error", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=IN_THE_SITE | variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    run_it("-m", "django", "startproject", "office", ".", DJANGO_SETTINGS_MODULE="")
    for block in blocks(README, "python"):
        found = PASTED.match(block.text)
        assert found is not None, f"{block} does not say which file it belongs to"
        with (tmp_path / "office" / found[1]).open("a", encoding="utf-8") as file:
            file.write(f"\n\n{block.text}")
    return run_it


@pytest.mark.parametrize("variables", [{}, LOCAL], ids=["own servers", "gmf_cluster"])
def test_the_blocks_of_the_readme_are_pasted_into_a_new_site_and_no_check_complains(
    run: Run, variables: dict[str, str]
) -> None:
    assert run("manage.py", "check", **variables) == "System check identified no issues (0 silenced).\n"


def test_where_a_local_cluster_is_named_it_counts_and_elsewhere_the_own_servers_do(run: Run) -> None:
    code = "from django.conf import settings; print([each['HOST'] for each in settings.DATABASES.values()])"
    assert run("-c", code) == "['db1', 'db2', 'db3']\n"
    assert run("-c", code, **LOCAL) == "['127.0.0.1', '127.0.0.1']\n"


def test_the_page_of_the_readme_says_that_a_replica_served_it(run: Run) -> None:
    """On SQLite, where each replica is a mirror, as in a test: the page itself is tried on servers by hand."""
    code = """
import django
from django.conf import settings
for entry in settings.DATABASES.values():
    entry.update(ENGINE="django.db.backends.sqlite3", NAME=":memory:", OPTIONS={})
django.setup()
from django.test import Client
from django.test.utils import setup_databases, setup_test_environment
setup_test_environment()
setup_databases(verbosity=0, interactive=False)
print(Client().get("/who").content.decode(), end="")
"""
    assert re.fullmatch(r"0 users, counted by replica_[12]; reason=read_method\n", run("-c", code))
    (shown,) = (block.text for block in blocks(README, "text"))
    assert re.fullmatch(r"0 users, counted by replica_[12]; reason=read_method\n", shown)
