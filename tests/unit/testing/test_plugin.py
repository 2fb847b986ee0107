"""Does the pytest plugin cost nothing until it is used, and say why it cannot be?"""

from __future__ import annotations

import subprocess
import sys

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


def test_loading_the_plugin_loads_nothing_else_but_the_package_and_pytest() -> None:
    code = """
import sys, pytest, django_gmf_router
before = set(sys.modules)
import django_gmf_router.testing.plugin
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    assert done.stdout == "['django_gmf_router.testing', 'django_gmf_router.testing.plugin']\n"
