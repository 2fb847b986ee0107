"""Do the examples compile, are their settings right, and do the commands print what the pages show?"""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
import time
from importlib import import_module
from io import StringIO
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import environ
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import RequestFactory, override_settings

import django_gmf_router
from django_gmf_router import env as gmf_env
from django_gmf_router.doctor import checks
from django_gmf_router.settings import configuration, kinds, sections, values
from tests.unit.docs.pages import ROOT, Block, all_blocks, blocks, names, prose, text_of
from tests.unit.docs.running import COMING_FROM, MODULE

README = "README.md"
CONFIGS = (
    values.ClusterConfig, values.ReplicaConfig, sections.PatternsConfig, sections.UnexpectedWritesConfig,
    sections.ConsistencyConfig, sections.HealthConfig, sections.SlowConfig, sections.SchemasConfig,
)  # fmt: skip
ALIASES = {
    *("default", "pool", "replica", "replica_1", "replica_2", "replica_3", "reports"),
    *("city", "city_replica", "geneva", "here_1", "here_2"),
}
PROMPT = "$ python manage.py gmf_explain "
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("block", all_blocks("python"), ids=str)
def test_a_python_example_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def imports() -> list[Any]:
    """Every name that an example imports from the package."""
    return [
        pytest.param(node.module, name.name, id=f"{block}+{node.lineno} {name.name}")
        for block in all_blocks("python")
        for node in ast.walk(ast.parse(block.text, filename=str(block)))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("django_gmf_router")
        for name in node.names
    ]


@pytest.mark.parametrize(("module", "name"), imports())
def test_what_an_example_imports_from_the_package_is_there(module: str, name: str) -> None:
    if module.startswith("django_gmf_router.contrib."):
        # It imports what it is for, such as Celery, which need not be installed.
        code = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert name in {getattr(node, "name", "") for node in ast.parse(code).body}
    else:
        assert hasattr(import_module(module), name) or import_module(f"{module}.{name}")


def routers() -> list[Any]:
    """Every literal value that an example gives to GMF_ROUTER."""
    return [
        pytest.param(ast.literal_eval(node.value), id=f"{block}+{node.lineno}")
        for block in all_blocks("python")
        for node in ast.walk(ast.parse(block.text, filename=str(block)))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "GMF_ROUTER"
    ]


@pytest.mark.parametrize("router", routers())
def test_an_example_of_settings_has_no_error(router: Any) -> None:
    assert list(configuration.found_in(router, ALIASES)) == []


FROM_THE_ENVIRONMENT = re.compile(r"(?ms)^ *DATABASES, GMF_ROUTER = gmf_env\.databases\(env\).*?^(?=```|END)")
URL = "postgres://gis@db1/office"
STATES = [
    {"DATABASE_URL": URL},
    {"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": URL},
    {"DATABASE_URL": URL, "PGSCHEMA": "main"},
    {"DATABASE_URL": URL, "DATABASE_REPLICA_URLS": URL, "PGSCHEMA": "main"},
]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(dedent(found[0]), id=f"{page}:{found.start()}")
        for page in names()
        for found in FROM_THE_ENVIRONMENT.finditer(text_of(page))
    ],
)
@pytest.mark.parametrize("variables", STATES, ids="+".join)
def test_settings_from_the_environment_hold_with_and_without_replicas_and_schemas(
    text: str, variables: dict[str, str]
) -> None:
    class Env(environ.Env):  # type: ignore[misc]
        ENVIRON = variables

    settings: dict[str, Any] = {"gmf_env": gmf_env, "env": Env(), "INSTALLED_APPS": [], "MIDDLEWARE": []}
    exec(text, settings)
    assert list(configuration.found_in(settings["GMF_ROUTER"], settings["DATABASES"])) == []


@pytest.mark.parametrize(
    "block",
    [each for each in all_blocks("python") if "GMF_ROUTER[" in each.text and "DATABASES" not in each.text],
    ids=str,
)
def test_an_addition_to_the_settings_holds_where_there_is_no_cluster(block: Block) -> None:
    settings: dict[str, Any] = {"GMF_ROUTER": {}}
    exec(block.text, settings)
    assert settings["GMF_ROUTER"] == {}


def test_the_vars_file_that_the_page_shows_is_a_cluster(tmp_path: Path) -> None:
    (block,) = blocks("docs/how-to/settings-from-the-environment.md", "yaml")
    file = tmp_path / "vars.yaml"
    file.write_text(block.text, encoding="utf-8")
    databases, router = gmf_env.databases_from_vars(file, environ={"PGPASSWORD": "s/cret"})
    assert [(entry["HOST"], entry["PASSWORD"]) for entry in databases.values()] == [
        ("db1", "s/cret"),
        ("db2", "s/cret"),
    ]
    assert router["default"]["DB_CHOOSER"]["master"] == ["GET /s/.*", r"GET /tiles/\d{1,2}/.*"]


def readme_settings() -> dict[str, Any]:
    settings: dict[str, Any] = {"INSTALLED_APPS": [], "MIDDLEWARE": []}
    exec(blocks(README, "python")[0].text, settings)
    return settings


PROVIDERS = "docs/how-to/providers/"
CHECKED = (PROVIDERS, COMING_FROM, "docs/how-to/a-careful-start.md")


def modules(page: str) -> dict[str, ModuleType]:
    """The modules of the site that a page shows: those of its blocks that begin with the name of a file."""
    found = {}
    for block in blocks(page, "python"):
        if (name := MODULE.match(block.text)) and "waffle" not in block.text and name[1] != "settings":
            module = found[name[1].replace("/", ".")] = ModuleType(name[1])
            exec(block.text, vars(module))
    return found


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES:UserWarning")
@pytest.mark.parametrize(
    "block",
    [each for each in all_blocks("python") if each.page.startswith(CHECKED) and "GMF_ROUTER" in each.text],
    ids=str,
)
def test_the_settings_of_a_page_pass_every_check_without_a_warning(
    block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    for name, module in modules(block.page).items():
        monkeypatch.setitem(sys.modules, name, module)
    settings = readme_settings()
    exec(block.text, settings)
    named = ("DATABASES", "DATABASE_ROUTERS", "MIDDLEWARE", "GMF_ROUTER")
    with override_settings(**{name: settings[name] for name in named}):
        assert [*checks.check_errors(), *checks.check_warnings()] == []


@pytest.mark.parametrize(
    ("page", "chooser", "sent", "expected"),
    [
        ("index.md", "while_both_serve", {}, None),
        ("index.md", "while_both_serve", {"cookies": {"multidb_pin_writes": "y"}}, "primary"),
        ("pinning.md", "while_both_serve", {}, None),
        ("pinning.md", "while_both_serve", {"wrote_seconds_ago": 60}, None),
        ("pinning.md", "while_both_serve", {"wrote_seconds_ago": 1}, "primary"),
        ("own-router.md", "staff_first", {}, "primary"),
        ("own-router.md", "staff_first", {"is_staff": True}, None),
        ("django-replicated.md", "by_header", {"HTTP_X_REPLICATED_STATE": "master"}, None),
        ("django-replicated.md", "by_header", {"HTTP_X_REPLICATED_STATE": "master", "is_staff": True}, "primary"),
        ("django-replicated.md", "by_header", {"HTTP_X_REPLICATED_STATE": "slave", "is_staff": True}, "replica"),
        ("django-replicated.md", "by_header", {"is_staff": True}, None),
    ],
)
def test_a_chooser_of_a_page_says_what_the_page_says(
    page: str, chooser: str, sent: dict[str, Any], expected: str | None
) -> None:
    request = RequestFactory().get("/", **{name: value for name, value in sent.items() if name.isupper()})
    request.COOKIES.update(sent.get("cookies", {}))
    request.session = {}
    if "wrote_seconds_ago" in sent:
        request.session["last_write"] = time.time() - sent["wrote_seconds_ago"]
    request.user = User(is_staff=sent.get("is_staff", False))
    assert getattr(modules(f"{COMING_FROM}{page}")["office.routing"], chooser)(request) == expected


def rows() -> list[Any]:
    """The rows of the tables that say what is ours, by what the page says of theirs."""
    tables = re.compile(r"(?m)^\| (?:theirs|yours) \| ours \|.*\n\|[-|]+\n((?:\|.*\n)+)")
    return [
        pytest.param(line.strip("|").split(" | ")[1], id=f"{page}: {line[:40]}")
        for page in names()
        if page.startswith(COMING_FROM)
        for table in tables.findall(text_of(page))
        for line in table.splitlines()
    ]


DJANGO = {"DATABASES", "DATABASE_ROUTERS", "MIDDLEWARE", "GMF_ROUTER", "TEST", "MIRROR"}
OURS = {*django_gmf_router.__all__, *gmf_env.__all__}


@pytest.mark.parametrize("ours", rows())
def test_what_a_page_calls_ours_is_a_setting_or_a_name_of_the_package(ours: str) -> None:
    keys = {key.name for config in CONFIGS for key in kinds.keys(config).values()}
    assert [name for name in re.findall(r"`([A-Z_]{3,})`", ours) if name not in {*keys, *DJANGO}] == []
    assert [name for name in re.findall(r"`(\w+)\(", ours) if name not in OURS] == []


def test_every_page_on_another_router_says_its_version_and_what_to_delete() -> None:
    pages = [page for page in names() if page.startswith(COMING_FROM) and not page.endswith("index.md")]
    assert len(pages) == 5
    assert [page for page in pages if "\n## Delete\n" not in text_of(page)] == []
    assert [page for page in pages if not re.search(r"[Vv]ersion \d|\d\.\d", text_of(page))] == []
    assert len(rows()) >= 60


def test_every_provider_has_settings_and_says_what_was_not_tested() -> None:
    pages = [page for page in names() if page.startswith(PROVIDERS) and not page.endswith("index.md")]
    assert len(pages) == 9
    words = ("\nDATABASES = ", "\nGMF_ROUTER = ", "## What was tested", "ot tested")
    assert [(page, word) for page in pages for word in words if word not in text_of(page)] == []


def test_a_provider_page_names_tests_that_there_are() -> None:
    code = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = {
        test for page in names() if page.startswith(PROVIDERS) for test in re.findall(r"`(test_\w+)`", text_of(page))
    }
    assert sorted(test for test in named if f"def {test}(" not in code) == []


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES:UserWarning")
def test_the_settings_of_the_readme_pass_every_check_without_a_warning() -> None:
    settings = readme_settings()
    named = ("DATABASES", "DATABASE_ROUTERS", "MIDDLEWARE", "GMF_ROUTER")
    with override_settings(**{name: settings[name] for name in named}):
        assert [*checks.check_errors(), *checks.check_warnings()] == []


def figures(row: str) -> list[float]:
    """The figures that a row of the benchmark's table has in the groups of an expression, the smallest first."""
    (found,) = re.finditer(row, text_of("docs/reference/benchmark.md"))
    return sorted(map(float, found.groups()))


def test_the_figures_of_the_readme_are_those_of_the_benchmark() -> None:
    told = prose(README)
    low, high = figures(r"slow, by the wire \| ([\d.]+) times.*\n\| the same, by its queries alone \| ([\d.]+) times")
    assert f"{low:.1f} to {high:.1f} times as long as before" in told
    low, high = figures(r"with a random router \| ([\d.]+) and ([\d.]+) times")
    assert f"[{low:.0f} times]" in told
    assert f"{high:.0f}" == f"{low:.0f}"
    (microseconds,) = figures(r"first decision of a request, WSGI \| (\d+) microseconds")
    assert f"{microseconds:.0f} microseconds for each request" in told


def test_the_tiles_of_the_readme_are_those_of_the_map() -> None:
    row = r"^\| with .+ \| ([\d,]+) \| ([\d,]+) \|$"
    ours, random = re.findall(row, text_of("docs/how-to/a-map-service.md"), re.MULTILINE)
    told = prose(README)
    assert ours[1] == "0"
    assert f"none of [{ours[0]} tiles]" in told
    assert f"{random[1]} of {random[0]} did" in told


def explanations() -> list[Any]:
    consoles = (block for block in all_blocks("console") if PROMPT in block.text)
    return [pytest.param(*block.text.split("\n", 1), str(block), id=str(block)) for block in consoles]


def router_of(console: str) -> Any:
    """The settings of an explanation: the first of its page that has pools, else those of the README."""
    with_pools = (router for router in routers_of(console.partition(":")[0]) if "POOLS" in router["default"])
    return next(with_pools, readme_settings()["GMF_ROUTER"])


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES:UserWarning")
@pytest.mark.parametrize(("prompt", "shown", "console"), explanations())
def test_gmf_explain_prints_what_the_page_shows(prompt: str, shown: str, console: str) -> None:
    out = StringIO()
    databases = {**settings.DATABASES, "reports": settings.DATABASES["replica_2"]}
    with override_settings(GMF_ROUTER=router_of(console), DATABASES=databases):
        call_command("gmf_explain", *shlex.split(prompt.removeprefix(PROMPT)), stdout=out)
    assert shown in {"", out.getvalue()}


def test_the_pages_show_what_gmf_explain_prints() -> None:
    assert sum(bool(parameters.values[1]) for parameters in explanations()) >= 4


def test_the_json_of_gmf_explain_has_the_documented_keys() -> None:
    out = StringIO()
    call_command("gmf_explain", "GET", "/", "--json", stdout=out)
    printed = json.loads(out.getvalue())
    reference = text_of("docs/reference/commands.md")
    assert [key for key in (*printed, *printed["rule"]) if f"`{key}`" not in reference] == []


def test_the_defaults_shown_in_the_settings_reference_are_those_of_the_code() -> None:
    (first, *_) = routers_of("docs/reference/settings.md")
    shown = values.parse("default", {**first["default"], "REPLICAS": [], "DB_CHOOSER": {}})
    assert shown == values.parse("default", {})
    assert {*first["default"]} == {key.name for key in kinds.keys(values.ClusterConfig).values()}
    for name, config in (("CONSISTENCY", sections.ConsistencyConfig), ("HEALTH", sections.HealthConfig)):
        assert {*first["default"][name]} == {key.name for key in kinds.keys(config).values()}


def routers_of(page: str) -> list[Any]:
    return [parameter.values[0] for parameter in routers() if str(parameter.id).startswith(page)]


@pytest.mark.parametrize("page", names())
def test_a_relative_link_leads_to_a_file(page: str) -> None:
    folder = (ROOT / page).parent
    assert [target for target in LINK.findall(text_of(page)) if not (folder / target).exists()] == []


def test_every_file_of_the_high_availability_example_is_shown_on_its_page() -> None:
    shown = re.findall(r"literalinclude} \.\./examples/ha/(\S+)", text_of("docs/how-to/high-availability.md"))
    assert sorted(shown) == sorted(path.name for path in (ROOT / "docs/examples/ha").iterdir() if path.is_file())
