"""Do the settings of each page hold where a reader pastes them, behind those of the README?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import environ
import pytest
from django.test import override_settings

from django_gmf_router import checks
from django_gmf_router import env as gmf_env
from tests.unit.docs.pages import Block, blocks
from tests.unit.docs.running import all_settings, execute
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
    settings = execute(block, {**readme_settings(), "gmf_env": gmf_env, "env": environ.Env()})
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
