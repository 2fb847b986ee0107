"""Does the pytest plugin cost nothing until it is used, and say why it cannot be?"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
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


@pytest.fixture
def run_of_a_site(tmp_path: Path) -> Callable[..., str]:
    """A test run of a site with one test that needs a cluster; returns what it printed."""
    (tmp_path / "test_site.py").write_text("def test_it(gmf_cluster):\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-rsE", "-p", "no:django", "-p", "no:cacheprovider", "test_site.py"]

    def run(**variables: str) -> str:
        env = {**os.environ, **variables}
        return subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True, cwd=tmp_path, env=env).stdout

    return run


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_without_postgresql_a_sites_test_says_what_is_missing(
    run_of_a_site: Callable[..., str], tmp_path: Path, ci: str, outcome: str
) -> None:
    output = run_of_a_site(GMF_PG_BINDIR=str(tmp_path), CI=ci)
    assert f"{outcome} in " in output
    assert f"GMF_PG_BINDIR is {tmp_path}, where initdb is missing: correct it or leave it out" in output


def test_without_the_extra_a_sites_test_says_what_to_install(run_of_a_site: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import sys\nsys.modules['psutil'] = None\n")
    output = run_of_a_site(CI="")
    assert "1 skipped in " in output
    assert 'psutil is missing: pip install "django-gmf-router[cluster]"' in output


def test_loading_the_plugin_loads_nothing_else_but_the_package_and_pytest() -> None:
    code = """
import sys, pytest, django_gmf_router
before = set(sys.modules)
import django_gmf_router.testing.plugin
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    assert done.stdout == "['django_gmf_router.testing', 'django_gmf_router.testing.plugin']\n"
