"""Does a GeoMapFish vars file become the settings it stands for?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_gmf_router.env import databases_from_vars
from tests.unit.env.conftest import PASSWORD, refusal

Write = Callable[[str], Path]

ACCOUNT = """
dbhost: db1
dbport: 5432
db: office
dbuser: gis
dbpassword: pw
"""
SLAVE = """
dbhost_slave: db2
sqlalchemy_slave:
  url: postgresql://{dbuser}:{dbpassword}@{dbhost_slave}:{dbport}/{db}
"""
PRIMARY = {
    "ENGINE": "django_gmf_router.backends.postgresql",
    "NAME": "office",
    "USER": "gis",
    "PASSWORD": "pw",
    "HOST": "db1",
    "PORT": "5432",
}
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)


def read(path: Path, **environ: str) -> tuple[dict[str, dict[str, object]], dict[str, dict[str, object]]]:
    return databases_from_vars(path, environ=environ)


def test_the_chapter_s_file_is_a_primary_and_one_replica(vars_file: Write) -> None:
    entries, router = read(vars_file(ACCOUNT + SLAVE))

    assert entries == {
        "default": PRIMARY,
        "replica_1": {
            **PRIMARY,
            "HOST": "db2",
            "PORT": 5432,
            "OPTIONS": {"options": "-c default_transaction_read_only=on", "connect_timeout": 2},
            "TEST": {"MIRROR": "default"},
        },
    }
    assert router == {"default": {"REPLICAS": ["replica_1"]}}


def test_a_top_level_vars_and_the_dotted_key_mean_the_same(vars_file: Write) -> None:
    flat = read(vars_file(ACCOUNT + SLAVE))
    dotted = SLAVE.replace("sqlalchemy_slave:\n  url", "sqlalchemy_slave.url")
    nested = "vars:\n" + "\n".join(f"  {line}" for line in (ACCOUNT + dotted).splitlines())

    assert read(vars_file(ACCOUNT + dotted)) == flat
    assert read(vars_file(nested)) == flat


def test_without_a_slave_nothing_is_routed(vars_file: Write) -> None:
    entries, router = read(vars_file(ACCOUNT + "db_chooser: {master: [GET /s]}"))

    assert (entries, router) == ({"default": PRIMARY}, {})


@pytest.mark.parametrize(
    "slave",
    [
        "sqlalchemy_slave.url: postgresql://gis:pw@db1:5432/office",
        "sqlalchemy_slave.url: postgresql+psycopg2://gis:pw@db1/office",
        "dbhost_slave: db1",
        "dbhost_slave: '{dbhost}'",
        "dbhost_slave:",
        "dbhost_slave: null",
        "sqlalchemy_slave: {}",
        "sqlalchemy_slave: {url: }",
        "sqlalchemy_slave.url: ''",
    ],
)
def test_a_slave_that_is_the_master_or_nothing_is_none(vars_file: Write, slave: str) -> None:
    assert read(vars_file(ACCOUNT + slave)) == ({"default": PRIMARY}, {})


@pytest.mark.parametrize(
    ("slave", "host", "port"),
    [
        ("dbhost_slave: db2", "db2", "5432"),
        ("dbhost_slave: db2\ndbport_slave: '5433'", "db2", "5433"),
        ("dbhost_slave: db1\ndbport_slave: 5433", "db1", "5433"),
        ("dbhost_slave: db2\nsqlalchemy_slave.url: postgresql+psycopg2://u:p@db3:5434/x", "db3", 5434),
    ],
)
def test_a_slave_s_host_and_port_without_a_url(vars_file: Write, slave: str, host: str, port: object) -> None:
    entries, router = read(vars_file(ACCOUNT + slave))

    assert (entries["replica_1"]["HOST"], entries["replica_1"]["PORT"]) == (host, port)
    assert router == {"default": {"REPLICAS": ["replica_1"]}}


def test_both_entries_take_the_engine_asked_for(vars_file: Write) -> None:
    postgis = "django_gmf_router.backends.postgis"

    entries, _ = databases_from_vars(str(vars_file(ACCOUNT + SLAVE)), engine=postgis, environ={})

    assert [entry["ENGINE"] for entry in entries.values()] == [postgis, postgis]
    assert "default_transaction_read_only" in entries["replica_1"]["OPTIONS"]["options"]


# What a project of GeoMapFish 2.4 and later has: its own file extends one of the framework, which names the
# environment's variables and gives some of them a default.
FRAMEWORK = r"""
vars:
  schema: '{PGSCHEMA}'
  sqlalchemy:
    url: postgresql://{PGUSER}:{PGPASSWORD}@{PGHOST}:{PGPORT}/{PGDATABASE}?sslmode={PGSSLMODE}
    pool_size: '{POOL_SIZE}'
  sqlalchemy_slave:
    url: postgresql://{PGUSER}:{PGPASSWORD}@{PGHOST_SLAVE}:{PGPORT_SLAVE}/{PGDATABASE}?sslmode={PGSSLMODE}
    pool_size: '{POOL_SIZE}'
  db_chooser:
    master:
      - GET {ENTRY_POINT}s/.*
    slave:
      - \w+ {ENTRY_POINT}printproxy/.*
runtime_environment:
  - PGHOST
  - name: PGPORT
  - name: PGPORT
    default: '5432'
  - name: PGPORT_SLAVE
    default: '5432'
  - {name: PGDATABASE, default: office}
  - {name: PGSSLMODE, default: prefer}
environment:
  - {name: ENTRY_POINT, default: /}
"""
PROJECT = """
extends: framework.yaml
vars:
  srid: 2056
  sqlalchemy:
    pool_size: 9
update_paths:
  - headers.index
  - sqlalchemy
  - sqlalchemy_slave
"""
SERVERS = {"PGHOST": "db1", "PGHOST_SLAVE": "db2", "PGUSER": "gis", "PGPASSWORD": "p@ss/w:rd"}


@pytest.fixture
def project(vars_file: Write) -> Callable[..., Path]:
    """Write a project's file, and the framework's beside it."""

    def write(content: str = PROJECT, framework: str = FRAMEWORK) -> Path:
        path = vars_file(content)
        (path.parent / "framework.yaml").write_text(framework, encoding="utf-8")
        return path

    return write


def test_a_project_s_file_is_read_with_the_one_that_it_extends(project: Callable[..., Path]) -> None:
    entries, router = read(project(), **SERVERS)

    primary, replica = entries["default"], entries["replica_1"]
    assert (primary["HOST"], primary["PORT"], primary["NAME"], primary["USER"]) == ("db1", 5432, "office", "gis")
    assert primary["PASSWORD"] == replica["PASSWORD"] == "p@ss/w:rd"
    assert (replica["HOST"], replica["PORT"]) == ("db2", 5432)
    assert primary["OPTIONS"] == {"sslmode": "prefer"}
    assert router == {
        "default": {
            "REPLICAS": ["replica_1"],
            "DB_CHOOSER": {"master": ["GET /s/.*"], "slave": [r"\w+ /printproxy/.*"]},
        }
    }


def test_the_environment_wins_over_the_defaults_that_a_file_gives_it(project: Callable[..., Path]) -> None:
    entries, router = read(project(), **SERVERS, PGPORT_SLAVE="30101", PGDATABASE="city", ENTRY_POINT="/city/")

    assert (entries["default"]["NAME"], entries["replica_1"]["PORT"]) == ("city", 30101)
    assert router["default"]["DB_CHOOSER"]["master"] == ["GET /city/s/.*"]


@pytest.mark.parametrize(
    ("own", "host", "master"),
    [
        ("sqlalchemy: {url: 'postgresql://u@db9/x'}", "db9", ["GET /s/.*"]),
        ("db_chooser: {master: [GET /own]}", "db1", ["GET /own"]),
        ("db_chooser: {master: [GET /own]}\nupdate_paths: [db_chooser.master]", "db1", ["GET /s/.*", "GET /own"]),
        ("db_chooser: {slave: [GET /own]}\nupdate_paths: [db_chooser]", "db1", ["GET /s/.*"]),
        ("db_chooser:\nupdate_paths: [db_chooser]", "db1", ["GET /s/.*"]),
    ],
)
def test_own_values_replace_those_of_the_extended_file_but_at_update_paths(
    project: Callable[..., Path], own: str, host: str, master: list[str]
) -> None:
    variables, _, rest = own.partition("\n")
    entries, router = read(project(f"extends: framework.yaml\nvars:\n  {variables}\n{rest}"), **SERVERS)

    assert entries["default"]["HOST"] == host
    assert router["default"]["DB_CHOOSER"]["master"] == master


def test_the_primary_s_url_may_be_dotted_and_wins_over_its_parts(vars_file: Write) -> None:
    url = "sqlalchemy.url: postgresql+psycopg2://{dbuser}:{dbpassword}@db7:{dbport}/{db}"

    entries, router = read(vars_file(ACCOUNT + url + "\ndbhost_slave: db8"))

    assert {**entries["default"], "PORT": "5432"} == {**PRIMARY, "HOST": "db7"}
    assert (entries["replica_1"]["HOST"], router) == ("db8", {"default": {"REPLICAS": ["replica_1"]}})


def test_files_that_extend_each_other_are_refused(project: Callable[..., Path]) -> None:
    path = project(framework="extends: ../{name}/vars_office.yaml")
    framework = path.parent / "framework.yaml"
    framework.write_text(framework.read_text().format(name=path.parent.name), encoding="utf-8")

    assert "extend each other in a circle" in refusal(lambda: read(path))


def test_an_extended_file_that_is_missing_or_broken_is_named(project: Callable[..., Path]) -> None:
    path = project(framework="a: [")
    framework = path.parent / "framework.yaml"

    assert refusal(lambda: read(path)).startswith(f"{framework} is not valid YAML")
    framework.unlink()
    assert refusal(lambda: read(path)).startswith(f"{framework} cannot be read")


@pytest.mark.parametrize(
    ("pattern", "becomes"),
    [
        (r"GET /tiles/\d{{1,2}}/.*", r"GET /tiles/\d{1,2}/.*"),
        (r"GET /tiles/\d{1,2}/.*", r"GET /tiles/\d{1,2}/.*"),
        ("GET {entry}/s/.*", "GET /s/.*"),
        (r"GET {entry}{{2}}/\d{{{size}}}", r"GET /{2}/\d{3}"),
    ],
)
def test_a_pattern_means_what_it_means_to_geomapfish(vars_file: Write, pattern: str, becomes: str) -> None:
    chooser = f"\nentry: /\nsize: 3\ndb_chooser: {{master: ['{pattern}']}}"

    assert read(vars_file(ACCOUNT + SLAVE + chooser))[1]["default"]["DB_CHOOSER"] == {"master": [becomes]}


def test_a_doubled_brace_of_a_password_stands_for_itself(vars_file: Write) -> None:
    entries, _ = read(vars_file(ACCOUNT.replace(": pw", ": 'a{{x}}b'") + SLAVE))

    assert entries["default"]["PASSWORD"] == entries["replica_1"]["PASSWORD"] == "a{x}b"


def test_chooser_lists_are_taken_as_they_are_but_for_placeholders(vars_file: Write) -> None:
    chooser = r"""
prefix: /
db_chooser:
  master:
    - GET {prefix}s/.*
    - GET {prefix}tiles/\d{2}/\d{2,3}/{entry}
  slave:
    - \w+ {prefix}printproxy/.*
"""
    _, router = read(vars_file(ACCOUNT + SLAVE + chooser), entry="demo")

    assert router["default"]["DB_CHOOSER"] == {
        "master": ["GET /s/.*", r"GET /tiles/\d{2}/\d{2,3}/demo"],
        "slave": [r"\w+ /printproxy/.*"],
    }


@pytest.mark.parametrize(
    ("chooser", "becomes"),
    [("{master: GET /s}", {"master": ["GET /s"]}), ("{slave: }", {"slave": []}), ("", None), ("{}", None)],
)
def test_short_forms_of_the_chooser(vars_file: Write, chooser: str, becomes: object) -> None:
    _, router = read(vars_file(f"{ACCOUNT}{SLAVE}\ndb_chooser: {chooser}"))

    assert router["default"].get("DB_CHOOSER") == becomes


@pytest.mark.parametrize(
    "chooser", ["[GET /s]", "GET /s", "{mater: [GET /s]}", "{master: [[GET /s]]}", "{master: {a: b}}"]
)
def test_a_chooser_of_another_shape_is_refused(vars_file: Write, chooser: str) -> None:
    path = vars_file(f"{ACCOUNT}{SLAVE}\ndb_chooser: {chooser}")

    assert refusal(lambda: read(path)).startswith(f"{path}: db_chooser")


def test_scalars_stay_as_written(vars_file: Write) -> None:
    content = "dbhost: on\ndb: 2024-01-01\ndbuser: yes\ndbpassword: 0123\ndbport: 05432"

    entry = read(vars_file(content))[0]["default"]

    assert (entry["HOST"], entry["NAME"], entry["USER"], entry["PASSWORD"]) == (
        "on",
        "2024-01-01",
        "yes",
        "0123",
    )


def test_the_file_wins_over_the_environment_and_environment_values_are_not_filled(vars_file: Write) -> None:
    content = "dbhost: '{host}'\ndb: '{base}_{stage}'\nstage: int\ndbpassword: '{PW}'"

    entry = read(vars_file(content), host="db9", base="office", stage="prod", PW="a{host}b")[0]["default"]

    assert (entry["HOST"], entry["NAME"], entry["PASSWORD"]) == ("db9", "office_int", "a{host}b")


def test_the_environment_is_the_process_s_by_default(vars_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GMF_TEST_HOST", "db7")

    assert databases_from_vars(vars_file("dbhost: '{GMF_TEST_HOST}'\ndb: x"))[0]["default"]["HOST"] == "db7"


@pytest.mark.parametrize(
    "slave",
    [
        "sqlalchemy_slave.url: postgresql://{dbuser}:{dbpassword}@db2/{db}",
        "sqlalchemy_slave.url: '{slave}'\nslave: postgresql://{dbuser}:{dbpassword}@db2/{db}",
        "sqlalchemy_slave.url: postgresql://{dbuser}:{other}@db2/{db}\nother: '{dbpassword}'",
    ],
)
@pytest.mark.parametrize("password", [PASSWORD, "%41", "a b+c", "é,?", "50%"])
def test_passwords_filled_into_a_url_are_percent_encoded(vars_file: Write, slave: str, password: str) -> None:
    content = f"dbhost: db1\ndb: office\ndbuser: gis\ndbpassword: {yaml.safe_dump(password)}\n{slave}"

    entries, _ = read(vars_file(content.replace("\n...\n", "\n")))

    assert entries["default"]["PASSWORD"] == entries["replica_1"]["PASSWORD"] == password


def test_a_whole_url_from_the_environment_is_taken_as_it_is(vars_file: Write) -> None:
    entries, _ = read(vars_file(ACCOUNT + "sqlalchemy_slave.url: '{SLAVE}'"), SLAVE="postgis://u:%7Bdb%7D@db2/x")

    assert entries["replica_1"]["PASSWORD"] == "{db}"


@given(password=TEXT)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_password_of_the_environment_comes_through(vars_file: Write, password: str) -> None:
    content = "dbhost: db1\ndb: office\ndbuser: gis\ndbpassword: '{PW}'" + SLAVE.replace("{dbport}", "5432")

    entries, _ = read(vars_file(content), PW=password)

    assert entries["default"]["PASSWORD"] == entries["replica_1"]["PASSWORD"] == password


@pytest.mark.parametrize(
    ("content", "key", "names"),
    [
        ("dbhost: '{HOST}'\ndb: x", "dbhost", "{HOST}"),
        ("dbhost: a{HOST}b\ndb: x", "dbhost", "{HOST}"),
        ("dbhost: h\ndb: x\ndbpassword: '{PW}'", "dbpassword", "{PW}"),
        ("dbhost: h\ndb: x\ndbpassword: s3cret{PW}", "dbpassword", "a placeholder"),
        (ACCOUNT + "sqlalchemy_slave.url: postgresql://{nobody}:x@h/d", "sqlalchemy_slave.url", "{nobody}"),
        (
            ACCOUNT + "sqlalchemy_slave.url: postgresql://u:s3cret{w}@h/d",
            "sqlalchemy_slave.url",
            "a placeholder",
        ),
        (ACCOUNT + "sqlalchemy_slave.url: postgresql://u:x@{nohost}/d", "sqlalchemy_slave.url", "{nohost}"),
        (ACCOUNT + "sqlalchemy_slave: {url: '{nowhere}'}", "sqlalchemy_slave.url", "{nowhere}"),
        (ACCOUNT + SLAVE + "db_chooser: {master: ['GET {p}s']}", "db_chooser.master", "{p}"),
    ],
)
def test_an_unknown_placeholder_is_refused_by_key_and_file(
    vars_file: Write, content: str, key: str, names: str
) -> None:
    path = vars_file(content)

    text = refusal(lambda: read(path))

    assert text.startswith(f"{path}: {key} holds {names}")
    assert "s3cret" not in text


@pytest.mark.parametrize(
    ("content", "chain"),
    [
        ("dbhost: '{dbhost}'\ndb: x", "dbhost -> dbhost"),
        ("dbhost: '{a}'\na: '{b}'\nb: x{a}\ndb: x", "dbhost -> a -> b -> a"),
        ("dbhost: h\ndb: x\nsqlalchemy_slave.url: '{a}'\na: '{a}'", "sqlalchemy_slave.url -> a -> a"),
    ],
)
def test_a_circle_of_placeholders_is_refused(vars_file: Write, content: str, chain: str) -> None:
    assert f"{chain} is a circle" in refusal(lambda: read(vars_file(content)))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("db: x", "dbhost is missing"),
        ("dbhost: \ndb: x", "dbhost is missing"),
        ("dbhost: h", "db is missing"),
        ("dbhost: [a, b]\ndb: x", "dbhost is a list"),
        ("dbhost: '{hosts}'\nhosts: {a: b}\ndb: x", "hosts is a list or a mapping"),
        ("dbhost: h\ndb: x\ndbport: 54a2", "dbport is no port"),
        ("dbhost: h\ndb: x\ndbport: 0", "dbport is no port"),
        ("dbhost: h\ndb: x\ndbport: 70000", "dbport is no port"),
        ("dbhost: h\ndb: x\ndbport: ²", "dbport is no port"),
        ("dbhost: h\ndb: x\ndbhost_slave: g\ndbport_slave: -1", "dbport_slave is no port"),
        (ACCOUNT + "sqlalchemy_slave: postgresql://gis:s3cret@h/x", "sqlalchemy_slave is no mapping"),
        (ACCOUNT + "sqlalchemy: [postgresql://gis:s3cret@h/x]", "sqlalchemy is no mapping"),
        (ACCOUNT + "sqlalchemy_slave.url: [x]", "sqlalchemy_slave.url is a list"),
        (ACCOUNT + "sqlalchemy_slave.url: postgresql://gis:s3cret@/x", "sqlalchemy_slave.url names no host"),
        (ACCOUNT + "sqlalchemy_slave.url: postgresql://gis:s3/cret@h/x", "sqlalchemy_slave.url is malformed"),
        (ACCOUNT + "sqlalchemy_slave.url: h:s3cret", "sqlalchemy_slave.url is not a database URL"),
        (ACCOUNT + "sqlalchemy_slave.url: sqlite:///s3cret", "sqlalchemy_slave.url is no PostgreSQL URL"),
    ],
)
def test_a_bad_value_is_refused_by_key_and_file(vars_file: Write, content: str, says: str) -> None:
    path = vars_file(content)

    text = refusal(lambda: read(path))

    assert text.startswith(f"{path}: {says}")
    assert "s3" not in text


@pytest.mark.parametrize(
    "content",
    [
        "dbpassword: *s3cret",
        "dbpassword: !s3cret x",
        "dbpassword: s3cret: x",
        "dbpassword: 's3cret",
        "dbpassword: {s3cret}}",
        "dbpassword: @s3cret",
        "a: 1\n\tdbpassword: s3cret",
        "dbpassword: s3cret\x00",
        "dbpassword: " + 20_000 * "[" + "s3cret",
    ],
)
def test_invalid_yaml_is_refused_without_repeating_it(vars_file: Write, content: str) -> None:
    path = vars_file(content)

    text = refusal(lambda: read(path))

    assert text.startswith(f"{path} is not valid YAML")
    assert "s3cret" not in text


@pytest.mark.parametrize("content", ["", "- a\n- b", "s3cret", "vars: [a]", "vars:"])
def test_a_file_that_is_no_mapping_is_refused(vars_file: Write, content: str) -> None:
    text = refusal(lambda: read(vars_file(content)))

    assert "is not a mapping" in text
    assert "s3cret" not in text


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    missing = tmp_path / "vars_nobody.yaml"

    assert refusal(lambda: read(missing)).startswith(f"{missing} cannot be read (No such file or directory)")
    assert refusal(lambda: read(tmp_path)).startswith(f"{tmp_path} cannot be read (Is a directory)")


@pytest.mark.parametrize(("module", "content"), [("yaml", ACCOUNT), ("environ", ACCOUNT + SLAVE)])
def test_a_missing_extra_is_named(vars_file: Write, monkeypatch: pytest.MonkeyPatch, module: str, content: str) -> None:
    path = vars_file(content)
    monkeypatch.setitem(sys.modules, module, None)

    assert "django-gmf-router[env]" in refusal(lambda: read(path))


@given(secret=st.text("aZ09:/@#?%,[]{}$\\'\"*&!| \n\t", min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_refusal_of_a_file_holds_the_password(vars_file: Write, secret: str) -> None:
    password = f"s3cret{secret}w0rd"
    slave = f"\nsqlalchemy_slave.url: postgresql://u:{password}@db2:x/office"

    text = refusal(lambda: read(vars_file(f"dbhost: h\ndb: x\ndbport: x\ndbpassword: {password}{slave}")))

    assert "s3cret" not in text
    assert "w0rd" not in text
