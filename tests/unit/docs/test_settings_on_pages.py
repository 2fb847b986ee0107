"""Do the settings of each page hold where a reader pastes them, behind those of the README?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import environ
import pytest
from django.test import override_settings

from django_gmf_router import env as gmf_env
from django_gmf_router.doctor import checks
from tests.unit.docs.pages import Block, blocks
from tests.unit.docs.running import all_settings, example, execute, run_example
from tests.unit.docs.test_examples import modules, readme_settings

OURS = ("DATABASES", "DATABASE_ROUTERS", "MIDDLEWARE", "GMF_ROUTER")
URL = "postgres://gis@db1/office"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the settings of a page read, as it is where a site runs: its environment, and vars.yaml of GeoMapFish."""
    values = {"DATABASE_PASSWORD": "secret", "DATABASE_URL": URL, "DATABASE_REPLICA_URLS": "postgres://gis@db2/office"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.chdir(tmp_path)
    (file := tmp_path / "geoportal" / "vars.yaml").parent.mkdir()
    file.write_text(blocks("docs/how-to/settings-from-the-environment.md", "yaml")[0].text, encoding="utf-8")


def pasted(block: Block) -> dict[str, Any]:
    """Return the settings of the README with those of an example behind them, and the aliases that it names."""
    settings = {**readme_settings(), "gmf_env": gmf_env, "env": environ.Env()}
    # What installs the package by itself has to do it wholly.
    if "RoutingMiddleware" in block.text:
        settings |= {"MIDDLEWARE": ["django.middleware.security.SecurityMiddleware"], "DATABASE_ROUTERS": []}
    execute(block, settings)
    primary = settings["PRIMARY"]
    for name, cluster in settings["GMF_ROUTER"].items():
        settings["DATABASES"].setdefault(name, {**primary, "HOST": name})
        for alias in cluster.get("REPLICAS", ()):
            settings["DATABASES"].setdefault(alias, {**primary, "HOST": alias, "TEST": {"MIRROR": name}})
    return settings


ADVISED = {
    # The reader's own apps, which are not installed here.
    "counters.Hit": {"W010"},
    "django_tasks_database.*": {"W010"},
    "wagtailcore.Site": {"W010"},
    # The page names W004, too.
    '"APPS": ["cadastre", "trees"]': {"W004", "W010"},
    # The file of GeoMapFish's documentation: docs/explanation/coming-from-geomapfish.md says so.
    "databases_from_vars": {"W006"},
    # The page says that all processes have to share the cache: the one of these tests does not.
    '"STORE": "cache"': {"W012"},
    # The engine stands in another example: tests/cluster/tenants runs it with both.
    "TenantMainMiddleware": {"W016"},
}
"""What a check has to advise, by words of the settings; nothing on any other."""


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES:UserWarning")
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("block", all_settings(), ids=str)
def test_settings_that_are_pasted_behind_those_of_the_readme_have_no_error(
    block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, module in modules(block.page).items():
        monkeypatch.setitem(sys.modules, name, module)
    settings = pasted(block)
    with override_settings(**{name: settings[name] for name in OURS}):
        errors, warnings = checks.check_errors(), checks.check_warnings()
    assert errors == []
    advised = {f"gmf_router.{number}" for words, ids in ADVISED.items() if words in block.text for number in ids}
    assert {message.id for message in warnings} == advised, warnings


def test_a_check_that_the_page_silences_is_silent_and_no_other() -> None:
    silenced = run_example("docs/reference/checks.md", "SILENCED_SYSTEM_CHECKS")["SILENCED_SYSTEM_CHECKS"]
    router = {"replica_1": {"REPLICAS": ["replica_2"]}}
    with override_settings(GMF_ROUTER=router, MIDDLEWARE=[], SILENCED_SYSTEM_CHECKS=silenced):
        found = {message.id: message.is_silenced() for message in checks.check_warnings()}
    assert found["gmf_router.W004"] is True
    assert found["gmf_router.W001"] is False


def printed(settings: str) -> str:
    """Return what a process with these settings of the log prints of a node that is up again."""
    code = f"""
import logging
from django.utils.log import configure_logging
{settings}
configure_logging("logging.config.dictConfig", LOGGING)
logging.getLogger("django_gmf_router").info("The replica replica_1 is up again; it was down for 12.4 s.")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stderr


def test_the_log_of_the_page_tells_that_a_node_is_up_again_which_nothing_else_does() -> None:
    shown = "The replica replica_1 is up again; it was down for 12.4 s."
    block = example("docs/how-to/in-development.md", "LOGGING = ")
    assert shown in "".join(each.text for each in blocks(block.page, "text"))
    assert printed("LOGGING = {'version': 1}") == ""
    assert printed(block.text) == f"{shown}\n"
