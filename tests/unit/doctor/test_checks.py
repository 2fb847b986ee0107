"""Is what is legal but risky reported as a warning, each with its own id?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.test import override_settings

import django_gmf_router
from django_gmf_router.doctor import checks

PACKAGE = Path(django_gmf_router.__file__).parent
FIRST = "django_gmf_router.middleware.RoutingMiddleware"


def cluster(**entry: Any) -> dict[str, Any]:
    return {"default": {"REPLICAS": ["replica_1", "replica_2"], **entry}}


def ids() -> set[str]:
    return {str(message.id).removeprefix("gmf_router.") for message in checks.check_warnings()}


def test_the_settings_of_these_tests_have_no_warning() -> None:
    # Django's main is tested too, to see what comes.
    assert ids() == ({"W030"} if django.VERSION[:2] > checks.NEWEST_DJANGO else set())


def cache(backend: str) -> dict[str, Any]:
    return {"default": {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": "gmf"}}


RISKY: list[tuple[str, dict[str, Any]]] = [
    ("W001", {"MIDDLEWARE": ["django.middleware.common.CommonMiddleware", FIRST]}),
    ("W001", {"MIDDLEWARE": []}),
    ("W002", {"DATABASES": ("default", {"ENGINE": "django.db.backends.postgresql"})}),
    ("W002", {"DATABASES": ("replica_1", {"ENGINE": "django.contrib.gis.db.backends.postgis"})}),
    ("W003", {"DATABASES": ("replica_1", {"TEST": {}})}),
    ("W004", {"GMF_ROUTER": {"other": {"REPLICAS": ["replica_1"]}}}),
    ("W005", {"GMF_ROUTER": cluster(DB_CHOOSER={"master": [r"\w+ /a/.*", r"\w+ /a/b"]})}),
    ("W005", {"GMF_ROUTER": cluster(DB_CHOOSER={"master": [r"\w+ /a/.*"], "slave": [r"\w+ /a/b"]})}),
    ("W006", {"GMF_ROUTER": cluster(DB_CHOOSER={"master": ["GET /s/.*"]})}),
    ("W007", {"DATABASES": ("replica_2", {"ATOMIC_REQUESTS": True})}),
    ("W008", {"DATABASE_ROUTERS": []}),
    ("W009", {"GMF_ROUTER": cluster(PRIMARY_MODELS=["library.Tag"])}),
    ("W010", {"GMF_ROUTER": cluster(PRIMARY_MODELS=["sessions.*", "library.Tagg"])}),
    ("W010", {"GMF_ROUTER": cluster(PRIMARY_MODELS=["sessions.*", "librarry.*"])}),
    ("W010", {"GMF_ROUTER": cluster(APPS=["librarry"])}),
    ("W010", {"GMF_ROUTER": cluster(REPLICA_MODELS=["library.Tagg"])}),
    ("E024", {"GMF_ROUTER": cluster(CHOOSER="no.such.module")}),
    ("E024", {"GMF_ROUTER": cluster(CHOOSER="tests.unit.routing.test_careful_start.ANSWERS")}),
    ("W011", {"GMF_ROUTER": cluster(CONSISTENCY={"MAX_AGE": 3})}),
    ("W011", {"GMF_ROUTER": cluster(CONSISTENCY={"MAX_AGE": 5})}),
    ("W012", {"GMF_ROUTER": cluster(CONSISTENCY={"STORE": "cache"})}),
    ("W012", {"GMF_ROUTER": cluster(CONSISTENCY={"STORE": "cache"}), "CACHES": cache("dummy.DummyCache")}),
    ("W014", {"GMF_ROUTER": cluster(DB_CHOOSER={"master": [r"(GET|HEAD) /((?:[\w\-]+/)*)$"]})}),
    ("W014", {"GMF_ROUTER": cluster(DB_CHOOSER={"primary": [r"\w+ /"]})}),
    ("W015", {"DATABASES": ("replica_1", {"HOST": "db1,db2"})}),
    ("W016", {"DATABASE_ROUTERS": [checks.ROUTER, "django_tenants.routers.TenantSyncRouter"]}),
    ("W019", {"SESSION_COOKIE_SAMESITE": "None"}),
    ("W019", {"GMF_ROUTER": cluster(CONSISTENCY={"COOKIE_SAMESITE": "None"})}),
    ("W019", {"SESSION_COOKIE_DOMAIN": ".example.org", "ALLOWED_HOSTS": ["example.com", ".notexample.org"]}),
    ("W020", {"GMF_ROUTER": cluster(CONSISTENCY={"COOKIE_NAME": "csrftoken"})}),
    ("W017", {"GMF_ROUTER": {"default": {"REPLICAS": {"replica_1": {"POOL": "reports", "TIER": 2}}}}}),
]


@pytest.mark.parametrize(("check", "changes"), RISKY)
def test_a_risky_setting_is_a_warning_with_a_hint(
    check: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = dict(changes)
    alias, change = changes.pop("DATABASES", ("default", {}))
    for key, value in change.items():
        monkeypatch.setitem(settings.DATABASES[alias], key, value)
    with override_settings(**changes):
        found = [message for message in checks.check_warnings() if message.id == f"gmf_router.{check}"]
        assert found
        assert all(message.hint for message in found)


@pytest.mark.parametrize(
    "chooser",
    [
        {"master": ["GET /s/.*", "HEAD /s/.*"]},
        {"master": ["(GET|HEAD) /s/.*"]},
        {"slave": ["POST /search"], "master": [r"\w+ /searching"]},
        {"master": [r"\w+ /a/b", r"\w+ /a/.*"]},
        {"master": ["(GET|HEAD) /$", r"(GET|HEAD) /en/.*", "POST /.*"]},
        {"slave": [r"\w+ /"]},
    ],
)
def test_patterns_that_are_sound_are_no_warning(chooser: dict[str, list[str]]) -> None:
    with override_settings(GMF_ROUTER=cluster(DB_CHOOSER=chooser)):
        assert ids() & {"W005", "W006", "W014"} == set()


@pytest.mark.parametrize(
    ("consistency", "models", "backend"),
    [
        ({"STORE": "cache"}, ["sessions.*"], "redis.RedisCache"),
        ({"STORE": "cache"}, ["sessions.*"], "filebased.FileBasedCache"),
        ({"STORE": "cache"}, ["sessions.*"], "db.DatabaseCache"),
        ({"STORE": "cookie"}, ["sessions.*"], "db.DatabaseCache"),
        ({"STORE": "cache", "LEVEL": "strong", "MAX_AGE": 3}, ["sessions.*"], "locmem.LocMemCache"),
        ({"STORE": "cookie", "MAX_AGE": 11}, ["sessions.*"], "locmem.LocMemCache"),
    ],
)
def test_tokens_that_are_kept_well_are_no_warning(consistency: dict[str, Any], models: list[str], backend: str) -> None:
    with override_settings(GMF_ROUTER=cluster(CONSISTENCY=consistency, PRIMARY_MODELS=models), CACHES=cache(backend)):
        assert ids() & {"W011", "W012"} == set()


@pytest.mark.parametrize(
    "changes",
    [
        {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": True},
        {"SESSION_COOKIE_SAMESITE": "None", "GMF_ROUTER": cluster(CONSISTENCY={"COOKIE_SAMESITE": "Lax"})},
        {"SESSION_COOKIE_SAMESITE": "None", "GMF_ROUTER": cluster(CONSISTENCY={"STORE": "header"})},
        {"SESSION_COOKIE_DOMAIN": "example.org", "ALLOWED_HOSTS": ["www.example.org", "example.com"]},
        {"SESSION_COOKIE_DOMAIN": ".example.org", "ALLOWED_HOSTS": [".example.org"]},
        {"SESSION_COOKIE_DOMAIN": ".example.org", "ALLOWED_HOSTS": ["*"]},
        {"SESSION_COOKIE_DOMAIN": ".example.org", "ALLOWED_HOSTS": []},
        {"SESSION_COOKIE_NAME": "gmf_token", "GMF_ROUTER": cluster(CONSISTENCY={"LEVEL": "strong"})},
    ],
)
def test_a_cookie_that_browsers_keep_is_no_warning(changes: dict[str, Any]) -> None:
    with override_settings(**changes):
        assert ids() & {"W019", "W020"} == set()


def test_a_site_without_a_default_cache_can_be_checked() -> None:
    with override_settings(GMF_ROUTER=cluster(CONSISTENCY={"STORE": "cache"}), CACHES={}):
        assert ids() & {"W012"} == set()


SERVER = {
    "ENGINE": "django_gmf_router.backends.postgresql",
    "HOST": "db1",
    "PORT": "",
    "NAME": "site",
    "OPTIONS": {"options": "-c statement_timeout=5s"},
}


def replicas_on(monkeypatch: pytest.MonkeyPatch, *servers: dict[str, Any]) -> list[str]:
    """Return the aliases of the replicas that are said to be their primary."""
    for alias, server in zip(("default", "replica_1", "replica_2"), servers, strict=True):
        for key, value in server.items():
            monkeypatch.setitem(settings.DATABASES[alias], key, value)
    found = [message for message in checks.check_warnings() if message.id == "gmf_router.W013"]
    return [alias for alias in ("replica_1", "replica_2") for message in found if alias in message.msg]


def test_a_replica_that_is_another_alias_of_its_primary_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    same = {**SERVER, "PORT": 5432, "OPTIONS": {"options": "-c default_transaction_read_only=on"}}
    assert replicas_on(monkeypatch, SERVER, {**SERVER, "HOST": "db2"}, same) == ["replica_2"]


@pytest.mark.parametrize(
    "other",
    [
        {"HOST": "db2"},
        {"PORT": "5433"},
        {"NAME": "site_on_a_replica"},
        {"OPTIONS": {"service": "replica"}},
        {"OPTIONS": {"target_session_attrs": "standby"}},
    ],
)
def test_a_replica_that_differs_in_where_it_connects_to_is_no_warning(
    other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert replicas_on(monkeypatch, SERVER, {**SERVER, **other}, {**SERVER, "HOST": "db3"}) == []


def test_two_aliases_of_one_sqlite_file_are_no_warning() -> None:
    assert settings.DATABASES["default"]["NAME"] == settings.DATABASES["replica_1"]["NAME"]
    assert "W013" not in ids()


@pytest.mark.parametrize(("version", "warns"), [((6, 1, 3), False), ((6, 2, 0, "alpha", 0), True), ((7, 0), True)])
def test_a_django_that_was_not_tested_yet_is_warned_of(
    version: tuple[Any, ...], warns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(django, "VERSION", version)
    assert ("W030" in ids()) is warns


def test_nothing_is_warned_of_where_nothing_is_configured() -> None:
    with override_settings(GMF_ROUTER={}, MIDDLEWARE=[], DATABASE_ROUTERS=[]):
        assert checks.check_warnings() == []


def test_a_site_whose_sessions_are_not_in_the_database_may_leave_them_out() -> None:
    engine = "django.contrib.sessions.backends.signed_cookies"
    with override_settings(GMF_ROUTER=cluster(PRIMARY_MODELS=[]), SESSION_ENGINE=engine):
        assert "W009" not in ids()


def test_manage_py_check_runs_them() -> None:
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["nowhere"]}}):
        assert "gmf_router.E003" in {message.id for message in run_checks()}
    with override_settings(DATABASE_ROUTERS=[]):
        assert "gmf_router.W008" in {message.id for message in run_checks()}


def test_each_id_belongs_to_one_rule() -> None:
    owners: dict[str, set[str]] = {}
    modules = ("settings/kinds", "settings/configuration", "doctor/checks", "schemas/advisories")
    for module in (*modules, "doctor/node_questions", "doctor/examination"):
        rule = ""
        for line in (PACKAGE / f"{module}.py").read_text().splitlines():
            if found := re.match(r"def (\w+)", line):
                rule = found[1]
            for check in re.findall(r'"([EW]\d{3})"', line):
                owners.setdefault(check, set()).add(rule)
    shared = {check for check, rules in owners.items() if len(rules) > 1}
    assert shared == set()
    assert len(owners) == 56
