"""Does the pytest plugin cost nothing until it is used, and say why it cannot be?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from django_gmf_router.testing.plugin import refuse


@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_in_ci_a_missing_cluster_is_a_failure(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.fail.Exception, match="psql is missing"):
        refuse("psql is missing")


@pytest.mark.parametrize("value", ["", "false", "0"])
def test_elsewhere_it_skips_with_the_reason(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.skip.Exception, match="psql is missing"):
        refuse("psql is missing")


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_without_postgresql_a_sites_test_says_what_is_missing(tmp_path: Path, ci: str, outcome: str) -> None:
    (tmp_path / "test_site.py").write_text("def test_it(gmf_cluster):\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-rsE", "-p", "no:django", "-p", "no:cacheprovider", "test_site.py"]
    env = {**os.environ, "GMF_PG_BINDIR": str(tmp_path), "CI": ci}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True, cwd=tmp_path, env=env)
    assert f"{outcome} in " in done.stdout
    assert f"initdb is missing in {tmp_path} (GMF_PG_BINDIR): pip install" in done.stdout


def test_loading_the_plugin_loads_nothing_else_but_the_package_and_pytest() -> None:
    code = """
import sys, pytest, django_gmf_router
before = set(sys.modules)
import django_gmf_router.testing.plugin
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    assert done.stdout == "['django_gmf_router.testing', 'django_gmf_router.testing.plugin']\n"
