"""Does the reference name everything there is, and nothing else?"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

import django
import pytest
from django.core.checks import CheckMessage
from django.dispatch import Signal
from django.test import override_settings

import django_gmf_router
from django_gmf_router import env as gmf_env
from django_gmf_router import exceptions, signals, testing, unavailable, urls
from django_gmf_router.doctor import checks, examination, node_questions
from django_gmf_router.doctor.node_questions import Examined, findings_of_node
from django_gmf_router.doctor.vitals import Vitals
from django_gmf_router.management.commands import gmf_cluster
from django_gmf_router.management.commands.gmf_services import FORMATS
from django_gmf_router.postgres import dialects
from django_gmf_router.replicas import events
from django_gmf_router.replicas.health import NodeHealth
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.routing import blocks as blocks_of_routing
from django_gmf_router.schemas import advisories
from django_gmf_router.services.service_options import ServiceOptions
from django_gmf_router.settings import configuration, kinds, sections, values
from django_gmf_router.views import health
from tests.unit.docs.pages import ROOT, blocks, headings, prose, section, text_of

SETTINGS = "docs/reference/settings.md"
CHECKS = "docs/reference/checks.md"
PYTHON = "docs/reference/python.md"
COMMANDS = "docs/reference/commands.md"
SIGNALS = "docs/reference/signals-and-logs.md"
HTTP = "docs/reference/http.md"
PACKAGE = ROOT / "django_gmf_router"
POSTGRESQL = {"ENGINE": "django.db.backends.postgresql"}


# Settings


SECTIONS = {
    "REPLICAS": values.ReplicaConfig,
    "DB_CHOOSER": sections.PatternsConfig,
    "UNEXPECTED_WRITES": sections.UnexpectedWritesConfig,
    "CONSISTENCY": sections.ConsistencyConfig,
    "HEALTH": sections.HealthConfig,
    "SCHEMAS": sections.SchemasConfig,
}
CLUSTER = kinds.keys(values.ClusterConfig).values()
NESTED = [(parent, key) for parent, config in SECTIONS.items() for key in kinds.keys(config).values()]


def configs() -> list[tuple[str, Any, kinds.Key]]:
    """Every key as the table names it, with the dataclass that it is parsed into."""
    found = []
    for key in CLUSTER:
        found.append((key.name, values.ClusterConfig, key))
        inner = SECTIONS.get(key.name)
        found += [(f"{key.name} {one.name}", inner, one) for one in (kinds.keys(inner).values() if inner else ())]
    return found


def rows() -> dict[str, list[str]]:
    """The table of all keys: what stands in the other columns, by the first."""
    lines = [line.strip("| ").split(" | ") for line in section(SETTINGS, "## All keys").splitlines() if "| `" in line]
    return {name.replace("`", ""): cells for name, *cells in lines}


def is_default(config: Any, name: str, literal: str) -> bool:
    given = {"primary": "default"} if config is values.ClusterConfig else {}
    given = {"alias": "replica_1"} if config is values.ReplicaConfig else given
    return bool(kinds.parsed(config, {name: ast.literal_eval(literal)}, **given) == config(**given))


def test_every_dict_of_settings_is_looked_at() -> None:
    # The names of POOLS are the site's own.
    assert {key.name for key in CLUSTER if key.kind.inner} == {*SECTIONS, "POOLS"}


def test_the_table_of_keys_is_the_one_that_the_settings_are_parsed_by() -> None:
    assert {name: (kind, text) for name, (kind, _, text) in rows().items()} == {
        name: (key.kind.text, key.text) for name, _, key in configs()
    }


@pytest.mark.parametrize(("name", "config", "key"), configs())
def test_the_table_gives_the_default_of_a_key(name: str, config: Any, key: kinds.Key) -> None:
    assert is_default(config, key.name, rows()[name][1].strip("`"))


def test_every_key_of_gmf_router_has_a_section_and_nothing_else_has() -> None:
    assert sorted(headings(SETTINGS, 3)) == sorted(f"`{key.name}`" for key in CLUSTER)


@pytest.mark.parametrize("key", CLUSTER, ids=lambda key: key.name)
def test_the_section_of_a_key_begins_with_its_type_and_default(key: kinds.Key) -> None:
    text = " ".join(section(SETTINGS, f"### `{key.name}`").split())
    found = re.match(rf"{re.escape(key.kind.text)}; default `([^`]+)`", text)
    assert found is not None
    assert is_default(values.ClusterConfig, key.name, found[1])


@pytest.mark.parametrize(("parent", "key"), [pair for pair in NESTED if pair[0] != "DB_CHOOSER"])
def test_a_nested_key_stands_in_the_section_of_its_parent_with_its_type_and_default(
    parent: str, key: kinds.Key
) -> None:
    text = " ".join(section(SETTINGS, f"### `{parent}`").split())
    found = re.search(rf"`{key.name}` : {re.escape(key.kind.text)}; default `([^`]+)`", text)
    assert found is not None
    assert is_default(SECTIONS[parent], key.name, found[1])


def test_both_words_of_a_list_of_patterns_are_named() -> None:
    text = section(SETTINGS, "### `DB_CHOOSER`")
    assert [key.name for parent, key in NESTED if parent == "DB_CHOOSER" and f'`"{key.name}"`' not in text] == []


# Checks


def ids_in_the_code() -> set[str]:
    modules = (
        "settings/kinds.py",
        "settings/configuration.py",
        "doctor/checks.py",
        "doctor/node_questions.py",
        "doctor/examination.py",
        "schemas/advisories.py",
    )
    code = "".join((PACKAGE / module).read_text() for module in modules)
    return set(re.findall(r'"([EW]\d{3})"', code))


def test_every_id_of_a_check_is_documented_once_and_no_other_is() -> None:
    assert headings(CHECKS, 3) == sorted(ids_in_the_code())


def test_ids_stand_nowhere_but_in_the_modules_that_are_searched() -> None:
    others = (
        path
        for path in PACKAGE.rglob("*.py")
        if path.name
        not in {"kinds.py", "configuration.py", "checks.py", "advisories.py", "node_questions.py", "examination.py"}
    )
    assert [path.name for path in others if re.search(r'"[EW]\d{3}"', path.read_text())] == []


def cluster(**settings: Any) -> dict[str, Any]:
    return {"default": {"REPLICAS": ["replica_1"], **settings}}


ERRORS: dict[str, Any] = {
    "E001": {"default": ["replica_1"]},
    "E002": {"default": {"REPLICA": ["replica_1"]}},
    "E003": {"default": {"REPLICAS": ["replica_9"]}},
    "E004": {"default": {"REPLICAS": ["default"]}},
    "E005": {**cluster(), "other": {"REPLICAS": ["replica_1"], "APPS": ["library"]}},
    "E006": cluster(DB_CHOOSER={"master": ["GET /(s"]}),
    "E007": {"default": {"REPLICAS": "replica_1"}},
    "E008": cluster(OUTSIDE_REQUESTS="slave"),
    "E009": {**cluster(), "other": {"REPLICAS": ["replica_2"]}},
    "E010": cluster(PRIMARY_MODELS=["sessions"]),
    "E011": cluster(SCHEMAS={"MAIN": "pg_main"}),
    "E012": cluster(SCHEMAS={"MAIN": "static"}),
    "E013": {
        **cluster(SCHEMAS={"STATIC_APPS": ["auth", "trees"]}),
        "other": {"REPLICAS": ["replica_2"], "APPS": ["trees"]},
    },
    "E023": cluster(POOLS={"reports": ["GET /exports/.*"]}),
}
STATIC_LIBRARY = sections.SchemasConfig(main="main_integration", static_apps=frozenset({"auth", "library"}))
ENTRY = values.ClusterConfig(primary="default", schemas=STATIC_LIBRARY)


def on_a_new_django() -> list[CheckMessage]:
    """Return what is said of a Django that is newer than the newest one that is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(django, "VERSION", (6, 2))
        return [*checks._untested_django(ENTRY)]


OTHERS: dict[str, Callable[[], Iterable[CheckMessage]]] = {
    "E014": lambda: advisories._static_app_not_installed(
        ENTRY, sections.SchemasConfig(static_apps=frozenset({"shortener"}))
    ),
    "E015": lambda: advisories._other_options("replica_1", STATIC_LIBRARY, None),
    "E016": lambda: advisories._static_refers_to_main(ENTRY, STATIC_LIBRARY),
    "E017": lambda: advisories._static_migration_after_main(ENTRY, STATIC_LIBRARY),
    "E018": lambda: advisories._other_path("replica_1", STATIC_LIBRARY, "public"),
    "E019": lambda: advisories._missing("default", STATIC_LIBRARY, "office", ["static", "public"]),
    "W030": on_a_new_django,
    "E021": lambda: advisories._search_path(ENTRY, STATIC_LIBRARY),
    "E020": lambda: advisories._misplaced("default", STATIC_LIBRARY, "main_integration", ["auth_group"]),
}


def examined(alias: str, reading: dict[str, Any], health: dict[str, Any], **vitals: Any) -> Examined:
    """Return a node of the cluster `default`, as it should be but for what is given."""
    role = values.Role.PRIMARY if alias == "default" else values.Role.REPLICA
    told = {"up": True, "role": role, "database": "gmf", "dialect": dialects.POSTGRESQL, **reading}
    return Examined(
        name=alias,
        alias=alias,
        config=values.parse("default", {"REPLICAS": ["replica_1"]}),
        health=NodeHealth(alias=alias, role=role, since=0.0, **{"migrations": "21 21", "lag": 0.0, **health}),
        reading=Reading(**told),
        vitals=Vitals(**{"version": 180004, "user": "gmf", "schemas": "public", "ahead": 0.0, **vitals}),
    )


def told(alias: str = "replica_1", *, reading: Any = None, health: Any = None, **vitals: Any) -> list[CheckMessage]:
    """Return what is wrong with a node that is so."""
    primary = examined("default", {}, {})
    node = examined(alias, reading or {}, health or {}, **vitals)
    return [finding.problem for finding in findings_of_node(node, primary) if finding.problem]


REFUSED = 'connection to server at "10.0.0.2", port 5432 failed: Connection refused'
SERVERS: dict[str, Callable[[], Iterable[CheckMessage]]] = {
    "E022": lambda: told(reading={"database": "postgres"}),
    "E025": lambda: told(reading={"role": values.Role.PRIMARY}),
    "E026": lambda: told(version=130016),
    "W018": lambda: told("default", has_control=False),
    "W021": lambda: told(reading={"up": False, "error": REFUSED}),
    "W022": lambda: told(receivers=0, restores=False),
    "W023": lambda: told(reading={"dialect": dialects.POSTGRESQL.without("pg_last_wal_replay_lsn")}),
    "W024": lambda: told(unreadable=("library_author", "library_book")),
    "W025": lambda: told(schemas="pg_catalog"),
    "W026": lambda: told(ahead=60.0),
    "W027": lambda: told(health={"migrations": "20 20"}),
    "W028": lambda: [finding.problem for finding in examination._token_cache(10.0) if finding.problem],
    "W029": lambda: [finding.problem for finding in examination._secret_key() if finding.problem],
}
WARNINGS: dict[str, dict[str, Any]] = {
    "E024": {"GMF_ROUTER": cluster(CHOOSER="office.routing.choose")},
    "W001": {"MIDDLEWARE": []},
    "W002": {"DATABASES": {"default": POSTGRESQL, "replica_1": {"TEST": {"MIRROR": "default"}}}},
    "W003": {"DATABASES": {"default": {}, "replica_1": {}}},
    "W004": {
        "DATABASES": {"default": {}, "city": {}, "replica_1": {"TEST": {"MIRROR": "city"}}},
        "GMF_ROUTER": {"city": {"REPLICAS": ["replica_1"]}},
    },
    "W005": {"GMF_ROUTER": cluster(DB_CHOOSER={"master": ["GET /s", "GET /s/.*"]})},
    "W006": {"GMF_ROUTER": cluster(DB_CHOOSER={"master": ["GET /s/.*"]})},
    "W007": {"DATABASES": {"default": {}, "replica_1": {"TEST": {"MIRROR": "default"}, "ATOMIC_REQUESTS": True}}},
    "W008": {"DATABASE_ROUTERS": []},
    "W009": {"GMF_ROUTER": cluster(PRIMARY_MODELS=[])},
    "W010": {"GMF_ROUTER": cluster(PRIMARY_MODELS=["sessions.*", "library.Tagg"])},
    "W011": {"GMF_ROUTER": cluster(CONSISTENCY={"MAX_AGE": 5})},
    "W012": {"GMF_ROUTER": cluster(CONSISTENCY={"STORE": "cache"})},
    "W013": {"DATABASES": {"default": POSTGRESQL, "replica_1": POSTGRESQL}},
    "W014": {"GMF_ROUTER": cluster(DB_CHOOSER={"master": ["(GET|HEAD) /.*"]})},
    "W015": {"DATABASES": {"default": {}, "replica_1": {"HOST": "db1,db2", "TEST": {"MIRROR": "default"}}}},
    "W016": {"DATABASE_ROUTERS": [checks.ROUTER, "django_tenants.routers.TenantSyncRouter"]},
    "W017": {"GMF_ROUTER": {"default": {"REPLICAS": {"replica_1": {"POOL": "reports"}}}}},
    "W019": {"SESSION_COOKIE_SAMESITE": "None"},
    "W020": {"GMF_ROUTER": cluster(CONSISTENCY={"COOKIE_NAME": "sessionid"})},
}


def shown(check: str) -> list[str]:
    return [block.text for block in blocks(CHECKS, "text") if f"gmf_router.{check}:" in block.text]


@pytest.mark.parametrize(("check", "router"), ERRORS.items())
def test_the_page_shows_an_error_as_it_is_printed(check: str, router: Any) -> None:
    found = configuration.found_in(router, ["default", "replica_1", "replica_2", "other"])
    printed = [f"{problem.id}: {problem.message}\nHINT: {problem.hint}\n" for problem in found]
    assert shown(check)[0] in printed


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES:UserWarning")
@pytest.mark.parametrize(("check", "settings"), WARNINGS.items())
def test_the_page_shows_a_warning_as_it_is_printed(check: str, settings: dict[str, Any]) -> None:
    with override_settings(**{"GMF_ROUTER": cluster(), **settings}):
        printed = list(map(as_shown, checks.check_warnings()))
    assert shown(check)[0] in printed


@pytest.mark.parametrize("check", OTHERS)
def test_the_page_shows_what_else_is_printed(check: str) -> None:
    assert shown(check)[0] in list(map(as_shown, OTHERS[check]()))


@pytest.mark.parametrize("check", SERVERS)
def test_the_page_shows_what_is_wrong_with_a_server_as_it_is_printed(
    check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "caches", {"default": Away()})
    monkeypatch.setattr(examination, "_key_of_another_process", lambda: "another")
    # The aliases of these tests are SQLite's.
    monkeypatch.setattr(node_questions, "_least_release", lambda alias: 14)
    assert shown(check)[0] in list(map(as_shown, SERVERS[check]()))


class Away:
    """A cache whose server is not there."""

    def get(self, key: str) -> None:
        raise ConnectionError("Error 111 connecting to 10.0.0.5:6379. Connection refused.")


@pytest.mark.parametrize("order", [("a", checks.MIDDLEWARE)])
def test_the_second_text_of_w001_is_shown_too(order: tuple[str, str]) -> None:
    with override_settings(MIDDLEWARE=order, GMF_ROUTER=cluster()):
        assert shown("W001")[1] in list(map(as_shown, checks.check_warnings()))


def as_shown(message: CheckMessage) -> str:
    return f"{message.id}: {message.msg}\nHINT: {message.hint}\n"


def test_every_check_has_an_example() -> None:
    assert {*ERRORS, *WARNINGS, *OTHERS, *SERVERS} == ids_in_the_code()


# Names


def test_the_levels_of_use_replica_are_in_the_python_reference() -> None:
    assert [level for level in blocks_of_routing.LEVELS if f'use_replica(level="{level}")' not in text_of(PYTHON)] == []


@pytest.mark.parametrize("module", [django_gmf_router, gmf_env, testing])
def test_every_public_name_is_in_the_python_reference(module: Any) -> None:
    page = text_of(PYTHON)
    assert [name for name in module.__all__ if not re.search(rf"`{name}\b", page)] == []


@pytest.mark.parametrize("module", [exceptions, signals])
def test_every_exception_and_signal_is_in_the_python_reference(module: Any) -> None:
    page = text_of(PYTHON)
    own = [
        name
        for name, value in vars(module).items()
        if isinstance(value, Signal) or getattr(value, "__module__", None) == module.__name__
    ]
    assert own
    assert [name for name in own if f"`{name}`" not in page] == []


def test_the_template_and_the_handler_of_503s_are_in_the_python_reference() -> None:
    page = text_of(PYTHON)
    assert f"`{unavailable.TEMPLATE}`" in page
    assert "handler503" in page
    assert '"handler503"' in (PACKAGE / "unavailable" / "__init__.py").read_text()


def test_every_method_of_local_cluster_is_in_the_python_reference() -> None:
    page = text_of(PYTHON)
    public = [name for name in vars(testing.LocalCluster) if not name.startswith("_")]
    assert [name for name in public if not re.search(rf"`{name}\b", page)] == []


def test_the_signature_of_local_cluster_is_the_documented_one() -> None:
    documented = re.search(r"`LocalCluster(\([^`]*\))`", text_of(PYTHON))
    assert documented is not None
    documented_signature = inspect.signature(eval(f"lambda {documented[1][1:-1]}: None"))
    found = inspect.signature(testing.LocalCluster)
    assert [(p.name, p.kind, p.default) for p in found.parameters.values()] == [
        (p.name, p.kind, p.default) for p in documented_signature.parameters.values()
    ]


def test_every_command_has_a_section() -> None:
    commands = [path.stem for path in (PACKAGE / "management" / "commands").glob("gmf_*.py")]
    assert sorted(commands) == [name.strip("`") for name in sorted(headings(COMMANDS, 2)) if "gmf_" in name]


def test_every_verb_of_gmf_cluster_is_documented() -> None:
    text = section(COMMANDS, "## `gmf_cluster`")
    assert [verb for verb in ("up", "down", "status", *gmf_cluster.NODE_VERBS) if f"`{verb}`" not in text] == []


def test_every_format_and_option_of_gmf_services_is_documented() -> None:
    text = section(COMMANDS, "## `gmf_services`")
    options = [f"--{field.replace('_', '-')}" for field in ServiceOptions.__dataclass_fields__]
    named = [f"| `{name}` |" for name in (*FORMATS, "--database", "--output", *options)]
    assert [name for name in named if name not in text] == []


# HTTP


def test_every_word_of_a_condition_is_in_the_http_reference() -> None:
    text = section(HTTP, "## `health`")
    told = health._details(NodeHealth(alias="default", role=values.Role.PRIMARY, since=0.0))
    words = (*health.STATUS_OF, *health.STATUS_OF.values(), *told)
    assert [word for word in words if f"`{word}`" not in text] == []


def test_every_path_of_the_urls_is_in_the_http_reference() -> None:
    rows = re.findall(r"^\| \[`(\S+)`\]\S+ \| `gmf_router:(\S+)` \|", text_of(HTTP), re.MULTILINE)
    assert rows == [(str(each.pattern), each.name) for each in urls.urlpatterns]


# Signals and logs


def events_in_the_code() -> set[str]:
    """Every name that stands after "event", and the constants of the module in which one is computed."""
    named = {value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}
    return named.union(*(re.findall(r'"event": "(\w+)"', path.read_text()) for path in PACKAGE.rglob("*.py")))


def test_every_event_of_the_log_is_documented_and_no_other_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section(SIGNALS, "## Log events"), re.MULTILINE)
    assert sorted(rows) == sorted(events_in_the_code())


def test_events_are_spelled_out_but_for_the_module_that_is_searched_otherwise() -> None:
    computed = (path for path in PACKAGE.rglob("*.py") if re.search(r'"event": [^"]', path.read_text()))
    assert [path.name for path in computed] == ["events.py"]


def test_every_signal_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section(SIGNALS, "## Signals"), re.MULTILINE)
    found = [name for name, value in vars(signals).items() if isinstance(value, Signal)]
    assert sorted(set(rows) & set(found)) == sorted(found)


# Names of Django


def test_the_private_names_that_the_linter_lets_pass_are_explained() -> None:
    ignored = re.search(r"ignore-names = \[([^\]]*)\]", (ROOT / "ruff.toml").read_text())
    assert ignored is not None
    page = prose("docs/explanation/limits.md")
    assert [name for name in re.findall(r'"(\w+)"', ignored[1]) if name not in page] == []
