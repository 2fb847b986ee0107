"""Do the commands explain, show, refuse, and end with the right exit code?"""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from django_gmf_router import current_decision
from django_gmf_router.doctor import examination
from django_gmf_router.exceptions import ReplicaMigrationRefused
from django_gmf_router.replicas.probes import Probe
from django_gmf_router.replicas.readings import Reading
from tests.books.models import Book

WRONG = {"default": {"REPLICAS": ["nowhere"]}}


def run(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def test_explain_says_the_decision_the_rule_and_what_it_beat() -> None:
    lines = run("gmf_explain", "get", "/s/abc").splitlines()
    assert lines[0] == "GET /s/abc"
    assert lines[1] == "  decision: primary (default), reason master_override"
    assert lines[2] == '  rule 5: DB_CHOOSER["master"] holds r"(GET|HEAD) /s/.*"'
    assert lines[3] == "  beat rule 10: GET is in READ_METHODS (replica, read_method)"


def test_explain_names_the_replicas_and_what_the_view_may_change() -> None:
    text = run("gmf_explain", "GET", "/x?query=is+left+out")
    assert "GET /x\n" in text
    assert "decision: replica (replica_1 or replica_2), reason read_method" in text
    assert "unless the view writes" in text


def test_explain_in_json() -> None:
    found = json.loads(run("gmf_explain", "GET", "/", "--model", "sessions.Session", "--json"))
    assert (found["role"], found["reason"], found["aliases"]) == ("primary", "primary_model", ["default"])
    assert (found["rule"]["number"], found["model"]) == (2, "sessions.Session")
    assert [rule["reason"] for rule in found["beat"]] == ["read_method"]


def test_explain_says_that_a_model_is_not_routed() -> None:
    with override_settings(GMF_ROUTER={}):
        assert "not routed" in run("gmf_explain", "GET", "/")
        assert json.loads(run("gmf_explain", "GET", "/", "--json"))["role"] is None
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], "APPS": ["auth"]}}):
        assert "not routed" in run("gmf_explain", "GET", "/", "--model", "library.Book")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("GET", "x"), "does not begin with a slash"),
        (("GET", "/", "--model", "library.Boook"), "There is no model 'library.Boook'"),
        (("GET", "/", "--model", "Book"), "There is no model 'Book'"),
    ],
)
def test_explain_refuses_bad_input_in_one_line(args: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message) as error:
        run("gmf_explain", *args)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("command", [("gmf_explain", "GET", "/"), ("gmf_status",)])
def test_wrong_settings_are_one_line_and_no_traceback(command: tuple[str, ...]) -> None:
    with override_settings(GMF_ROUTER=WRONG), pytest.raises(CommandError, match="names the alias 'nowhere'"):
        run(*command)


STATUS = pytest.mark.django_db(databases=["default", "replica_1", "replica_2"])


@STATUS
def test_status_shows_every_node_and_ends_with_0() -> None:
    nodes = json.loads(run("gmf_status", "--json"))
    assert [(node["alias"], node["role"], node["state"], node["share"]) for node in nodes] == [
        ("default", "primary", "up", None),
        ("replica_1", "replica", "up", 0.5),
        ("replica_2", "replica", "up", 0.5),
    ]
    assert {node["lag"] for node in nodes} == {None}
    header, *rows = run("gmf_status").splitlines()
    assert header.split() == ["alias", "role", "state", "lag", "position", "since", "share"]
    *known, _day, _time, zone, share = rows[1].split()
    assert (*known, zone, share) == ("replica_1", "replica", "up", "-", "-", "UTC", "50%")


@STATUS
@pytest.mark.parametrize(("down", "code"), [("replica_2", 1), ("default", 2)])
def test_status_ends_with_1_for_a_replica_and_2_for_the_primary(
    monkeypatch: pytest.MonkeyPatch, down: str, code: int
) -> None:
    read = Probe.read

    def read_or_fail(probe: Probe) -> Reading:
        return Reading(up=False, error="connection refused", refused=True) if probe.alias == down else read(probe)

    monkeypatch.setattr(Probe, "read", read_or_fail)
    with pytest.raises(SystemExit) as exit_:
        run("gmf_status")
    assert exit_.value.code == code


@STATUS
def test_doctor_asks_databases_of_other_vendors_for_a_connection_alone() -> None:
    found = json.loads(run("gmf_doctor", "--json"))
    assert [(each["about"], each["text"]) for each in found if each["about"] != "settings"] == [
        ("default", "answers"),
        ("replica_1", "answers"),
        ("replica_2", "answers"),
    ]
    assert {each["verdict"] for each in found} == {"ok"}


@STATUS
def test_doctor_calls_a_setting_that_may_be_meant_risky_unless_it_is_silenced() -> None:
    router = {"default": {"REPLICAS": ["replica_1"], "DB_CHOOSER": {"master": ["GET /s/.*"]}}}
    with override_settings(GMF_ROUTER=router):
        (line,) = (line for line in run("gmf_doctor").splitlines() if not line.startswith("OK"))
        assert line.startswith("RISKY  settings: DB_CHOOSER['master']: 'GET /s/.*' leaves HEAD to the replicas, and ")
        assert line.endswith('Write r"(GET|HEAD) /s/.*". (gmf_router.W006)')
        with override_settings(SILENCED_SYSTEM_CHECKS=["gmf_router.W006"]):
            assert "RISKY" not in run("gmf_doctor")


@STATUS
def test_doctor_ends_with_1_where_a_node_gives_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(probe: Probe) -> Reading:
        return Reading(up=False, error="connection refused", refused=True)

    monkeypatch.setattr(Probe, "read", fail)
    output = StringIO()
    with pytest.raises(SystemExit) as exit_:
        call_command("gmf_doctor", stdout=output)
    assert exit_.value.code == 1
    assert (
        "WRONG  replica_1: gives no connection: connection refused. Correct its HOST and PORT, or start the server."
        " (gmf_router.W021)\n"
    ) in output.getvalue()


def test_doctor_names_each_wrong_setting_and_asks_no_server() -> None:
    output = StringIO()
    wrong = {"default": {"REPLICAS": ["nowhere"], "PRIMARY_WAIT": "long", "BALANCERS": 1}}
    with override_settings(GMF_ROUTER=wrong), pytest.raises(SystemExit) as exit_:
        call_command("gmf_doctor", stdout=output)
    assert exit_.value.code == 1
    assert re.findall(r"^WRONG  settings: .* \(gmf_router\.(E\d+)\)$", output.getvalue(), re.MULTILINE) == [
        "E007",
        "E002",
    ]


def test_doctor_without_a_cluster_says_so() -> None:
    with override_settings(GMF_ROUTER={}):
        assert run("gmf_doctor") == "No cluster with replicas is configured: see GMF_ROUTER.\n"
        assert json.loads(run("gmf_doctor", "--json")) == []


@STATUS
def test_doctor_asks_the_primary_of_a_dry_run_without_replicas() -> None:
    with override_settings(GMF_ROUTER={"default": {"DRY_RUN": True}}):
        found = json.loads(run("gmf_doctor", "--json"))
    assert [(each["about"], each["verdict"]) for each in found if each["about"] != "settings"] == [("default", "ok")]


def test_check_asks_no_server_in_a_test_run() -> None:
    # No database is allowed in this test.
    assert examination.check_servers(["default", "replica_1"]) == []


def test_status_without_a_cluster_says_so() -> None:
    with override_settings(GMF_ROUTER={}):
        assert "No cluster with replicas is configured" in run("gmf_status")


@pytest.mark.django_db(databases=["default", "replica_1"])
def test_migrating_a_replica_is_refused_and_records_nothing() -> None:
    with pytest.raises(ReplicaMigrationRefused, match="'replica_1' is a replica of 'default'"):
        call_command("migrate", "--database=replica_1", verbosity=0)
    before = MigrationRecorder(connections["default"]).applied_migrations()
    assert before


class Curious:
    """A router of the site's own that looks at each database it is asked about, as that of a foreign test suite."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> None:
        with connections[db].cursor() as cursor:
            cursor.execute("SELECT 1")


@pytest.mark.django_db(databases=["default", "other"])
def test_makemigrations_looks_at_no_replica_nor_does_a_router_after_ours() -> None:
    own = "django_gmf_router.routers.PrimaryReplicaRouter"
    with override_settings(DATABASE_ROUTERS=[own, f"{__name__}.Curious"]):
        run("makemigrations", "--check", "--dry-run")


def test_wrong_settings_are_reported_once_and_stop_no_other_check() -> None:
    with override_settings(GMF_ROUTER=WRONG), pytest.raises(SystemCheckError) as caught:
        run("check", "--database=default")
    assert str(caught.value).count("(gmf_router.E") == 1
    assert "(gmf_router.W" not in str(caught.value)


@pytest.mark.django_db(transaction=True)
def test_migrate_reads_from_the_primary_whatever_is_wanted_outside_requests() -> None:
    from django.db import router
    from django.db.models.signals import post_migrate

    seen: list[str] = []

    def look(**kwargs: Any) -> None:
        seen.append(router.db_for_read(Book))

    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], "OUTSIDE_REQUESTS": "replica"}}):
        post_migrate.connect(look)
        call_command("migrate", verbosity=0)
        post_migrate.disconnect(look)
        assert set(seen) == {"default"}
        assert current_decision() is None


POSTGRESQL = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "gmf",
    "USER": "gmf",
    "PASSWORD": "geheim",
    "HOST": "db1",
}
SERVED = override_settings(
    DATABASES={
        "default": POSTGRESQL,
        "replica_1": {**POSTGRESQL, "HOST": "db2"},
        "other": {**POSTGRESQL, "HOST": "db3"},
    },
    GMF_ROUTER={"default": {"REPLICAS": ["replica_1"]}},
)
IGNORED = pytest.mark.filterwarnings("ignore:Overriding setting DATABASES:UserWarning")
FORMATS = ["pg_service", "libpq", "haproxy", "mapserver", "pgbouncer", "martin", "tipg", "pygeoapi", "qgis"]


@IGNORED
@pytest.mark.parametrize("name", FORMATS)
def test_services_are_written_without_a_password_and_end_with_a_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    with SERVED:
        text = run("gmf_services", name)
        assert run("gmf_services", name, "--output", str(file)) == ""
    assert file.read_text() == text
    assert text.endswith("\n")
    assert "geheim" not in text


@IGNORED
def test_services_of_one_database_are_chosen_by_its_alias() -> None:
    with SERVED:
        assert "[other_read]" not in run("gmf_services", "pg_service")
        assert "[default_read]" not in run("gmf_services", "pg_service", "--database", "other")
        assert "host=db3" in run("gmf_services", "pg_service", "--database", "other").splitlines()
    with SERVED, override_settings(GMF_ROUTER={}):
        assert "[default_read]" in run("gmf_services", "pg_service")


@IGNORED
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nginx",), "There is no format 'nginx': choose one of pg_service, libpq"),
        (("libpq", "--database", "replica_1"), "'replica_1' is a replica of 'default': say --database default"),
        (("libpq", "--database", "nowhere"), "There is no alias 'nowhere' in DATABASES: choose one of default"),
        (("libpq", "--libpq", "9"), "--libpq 9 knows no lists of hosts"),
        (("libpq", "--passfile", "a\nb"), "--passfile .* cannot stand in the file"),
        (("haproxy", "--port", "70000"), "--port 70000 is no port"),
        (("haproxy", "--output", "/nowhere/at/all"), "/nowhere/at/all cannot be written: No such file or directory"),
    ],
)
def test_services_refuse_in_one_line(args: tuple[str, ...], message: str) -> None:
    with SERVED, pytest.raises(CommandError, match=message) as error:
        run("gmf_services", *args)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", FORMATS)
def test_services_of_another_vendor_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(CommandError, match=r"^DATABASES\['default'\] is sqlite: [^\n]+$"):
        run("gmf_services", name)
