"""Is every wrong value of GMF_ROUTER reported, with its id, the value, and what to do?"""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_gmf_router.doctor import checks
from django_gmf_router.settings import configuration

DATABASES = ("default", "replica_1", "replica_2", "other")
WRONG: list[tuple[Any, str, str]] = [
    (["default"], "E001", "['default']"),
    ({"default": ["replica_1"]}, "E001", "['replica_1']"),
    ({"default": {"REPLICA": ["replica_1"]}}, "E002", "'REPLICA'"),
    ({"default": {"HEALTH": {"INTERVALL": 1}}}, "E002", "'INTERVALL'"),
    ({"default": {"CONSISTENCY": {"TTL": 1}}}, "E002", "'TTL'"),
    ({"default": {"DB_CHOOSER": {"masters": []}}}, "E002", "'masters'"),
    ({"default": {"REPLICAS": {"replica_1": {"WHEIGHT": 3}}}}, "E002", "'WHEIGHT'"),
    ({"default": {"REPLICAS": ["replica_9"]}}, "E003", "'replica_9'"),
    ({"main": {"REPLICAS": ["replica_1"]}}, "E003", "'main'"),
    ({"default": {"REPLICAS": ["default"]}}, "E004", "'default'"),
    ({"default": {"REPLICAS": ["replica_1", "replica_1"]}}, "E005", "'replica_1'"),
    (
        {"default": {"REPLICAS": ["replica_1"]}, "other": {"REPLICAS": ["replica_1"], "APPS": ["x"]}},
        "E005",
        "'replica_1'",
    ),
    ({"default": {"DB_CHOOSER": {"master": ["GET /(s"]}}}, "E006", "'GET /(s'"),
    ({"default": {"DB_CHOOSER": {"replica": ["*"]}}}, "E006", "'*'"),
    ({"default": {"REPLICAS": "replica_1"}}, "E007", "'replica_1'"),
    ({"default": {"REPLICAS": [1]}}, "E007", "[1]"),
    ({"default": {"DB_CHOOSER": {"master": "GET /s/.*"}}}, "E007", "'GET /s/.*'"),
    ({"default": {"DB_CHOOSER": {"slave": [None]}}}, "E007", "[None]"),
    ({"default": {"READ_METHODS": "GET"}}, "E007", "'GET'"),
    ({"default": {"PRIMARY_WAIT": "1"}}, "E007", "'1'"),
    ({"default": {"PRIMARY_WAIT": True}}, "E007", "True"),
    ({"default": {"HEALTH": {"TIMEOUT": None}}}, "E007", "None"),
    ({"default": {"DEBUG_HEADER": 3}}, "E007", "3"),
    ({"default": {"REPLICAS": {"replica_1": ["WEIGHT"]}}}, "E007", "['WEIGHT']"),
    ({"default": {"REPLICAS": {"replica_1": {"BALANCED": 1}}}}, "E007", "1"),
    ({"default": {"OUTSIDE_REQUESTS": "slave"}}, "E008", "'slave'"),
    ({"default": {"UNEXPECTED_WRITES": "raise"}}, "E008", "'raise'"),
    ({"default": {"UNEXPECTED_PRIMARY_READS": "refuse"}}, "E008", "'refuse'"),
    ({"default": {"UNEXPECTED_WRITES": {"raise": []}}}, "E002", "'raise'"),
    ({"default": {"UNEXPECTED_WRITES": {"allow": ["GET /("]}}}, "E006", "'GET /('"),
    ({"default": {"UNEXPECTED_WRITES": {"allow": "GET /"}}}, "E007", "'GET /'"),
    ({"default": {"UNEXPECTED_WRITES": ["GET /"]}}, "E007", "['GET /']"),
    ({"default": {"HEALTH": {"SLOW": {"FACTOR": 1}}}}, "E008", "1"),
    ({"default": {"HEALTH": {"SLOW": {"FLOOR": -0.1}}}}, "E008", "-0.1"),
    ({"default": {"HEALTH": {"SLOW": {"FACTOR": None}}}}, "E007", "None"),
    ({"default": {"HEALTH": {"SLOW": False}}}, "E007", "False"),
    ({"default": {"HEALTH": {"SLOW": {"MARGIN": 2}}}}, "E002", "'MARGIN'"),
    ({"default": {"BALANCER": "round-robin"}}, "E008", "'round-robin'"),
    ({"default": {"CONSISTENCY": {"LEVEL": "none"}}}, "E008", "'none'"),
    ({"default": {"CONSISTENCY": {"STORE": "redis"}}}, "E008", "'redis'"),
    ({"default": {"DEBUG_HEADER": "bad\nname"}}, "E008", "'bad\\nname'"),
    ({"default": {"CONSISTENCY": {"COOKIE_NAME": "a b"}}}, "E008", "'a b'"),
    ({"default": {"HEALTH": {"INTERVAL": 0}}}, "E008", "0"),
    ({"default": {"REPLICAS": {"replica_1": {"WEIGHT": 0}}}}, "E008", "0"),
    ({"default": {"REPLICAS": {"replica_1": {"TIER": 0}}}}, "E008", "0"),
    ({"default": {"REPLICAS": {"replica_1": {"TIER": "2"}}}}, "E007", "'2'"),
    ({"default": {"REPLICAS": {"replica_1": {"TIER": True}}}}, "E007", "True"),
    ({"default": {"REPLICAS": {"replica_1": {"POOL": ""}}}}, "E008", "''"),
    ({"default": {"REPLICAS": {"replica_1": {"POOL": ["reports"]}}}}, "E007", "['reports']"),
    ({"default": {"POOLS": ["reports"]}}, "E007", "['reports']"),
    ({"default": {"POOLS": {"reports": "GET /"}}}, "E007", "'GET /'"),
    ({"default": {"POOLS": {"reports": ["GET /("]}}}, "E006", "'GET /('"),
    ({"default": {"REPLICAS": ["replica_1"], "POOLS": {"reports": []}}}, "E023", "'reports'"),
    ({"default": {"PRIMARY_WEIGHT": -1}}, "E008", "-1"),
    ({"default": {"PRIMARY_WEIGHT": "1"}}, "E007", "'1'"),
    ({"default": {"SPILL": -1}}, "E008", "-1"),
    ({"default": {"SPILL": 1.5}}, "E007", "1.5"),
    ({"default": {"SPILL": False}}, "E007", "False"),
    ({"default": {"REPLICAS": ["replica_1"]}, "other": {"REPLICAS": ["replica_2"]}}, "E009", "'other'"),
    (
        {
            "default": {"REPLICAS": ["replica_1"], "APPS": ["library"]},
            "other": {"REPLICAS": ["replica_2"], "APPS": ["library"]},
        },
        "E009",
        "'library'",
    ),
    ({"default": {"PRIMARY_MODELS": ["Session"]}}, "E010", "'Session'"),
    ({"default": {"SCHEMAS": {"main": "x"}}}, "E002", "'main'"),
    ({"default": {"SCHEMAS": {"STATIC_APPS": "auth"}}}, "E007", "'auth'"),
    ({"default": {"SCHEMAS": {"STATIC_APPS": [1]}}}, "E007", "[1]"),
    ({"default": {"SCHEMAS": {"MAIN": "pg_main"}}}, "E011", "'pg_main'"),
    ({"default": {"SCHEMAS": {"STATIC": "x" * 64}}}, "E011", "64 bytes"),
    ({"default": {"SCHEMAS": {"MAIN": ""}}}, "E011", "''"),
    ({"default": {"SCHEMAS": {"MAIN": "static"}}}, "E012", "MAIN and STATIC are both 'static'"),
    ({"default": {"SCHEMAS": {"MAIN": "public"}}}, "E012", "'public'"),
    (
        {
            "default": {"SCHEMAS": {"STATIC_APPS": ["auth", "library"]}},
            "other": {"REPLICAS": ["replica_2"], "APPS": ["library"]},
        },
        "E013",
        "names 'library', an app of 'other'",
    ),
]


@pytest.mark.parametrize(("raw", "check", "value"), WRONG)
def test_a_wrong_value_is_an_error_with_its_id_the_value_and_a_hint(raw: Any, check: str, value: str) -> None:
    (problem,) = configuration.found_in(raw, DATABASES)
    assert problem.id == f"gmf_router.{check}"
    assert value in problem.message
    assert problem.hint


@pytest.mark.parametrize(("raw", "check", "value"), WRONG)
def test_the_system_check_reports_it_and_routing_refuses_to_start(raw: Any, check: str, value: str) -> None:
    with override_settings(GMF_ROUTER=raw):
        (message,) = checks.check_errors()
        assert (message.id, bool(message.hint)) == (f"gmf_router.{check}", True)
        assert checks.check_warnings() == []
        with pytest.raises(ImproperlyConfigured, match=f"gmf_router.{check}"):
            configuration.clusters()


RIGHT: list[Any] = [
    {},
    {"default": {}},
    {"default": {"REPLICAS": []}},
    {"default": {"REPLICAS": None, "APPS": None, "DB_CHOOSER": None, "SCHEMAS": None, "DEBUG_HEADER": None}},
    {
        "default": {
            "REPLICAS": {"replica_1": {"WEIGHT": 3}, "replica_2": {"BALANCED": True}},
            "READ_METHODS": ["GET", "HEAD", "OPTIONS"],
            "DB_CHOOSER": {"master": [r"GET /s/.*"], "slave": [r"\w+ /printproxy/.*"], "primary": [], "replica": []},
            "PRIMARY_MODELS": ["sessions.*", "library.Tag"],
            "OUTSIDE_REQUESTS": "replica",
            "UNEXPECTED_WRITES": "refuse",
            "BALANCER": "stable",
            "CONSISTENCY": {
                "LEVEL": "session",
                "STORE": "cookie",
                "MAX_AGE": 60,
                "WINDOW": 5,
                "COOKIE_NAME": "gmf_token",
                "HEADER": "GMF-Consistency-Token",
            },
            "HEALTH": {"INTERVAL": 1.0, "TIMEOUT": 2.0, "MAX_LAG": 5.0},
            "PRIMARY_WAIT": 0.0,
            "DEBUG_HEADER": "X-GMF-Database",
            "SCHEMAS": {"MAIN": 'a "b".C', "STATIC": "select", "STATIC_APPS": ["auth"], "EXTENSIONS": "public"},
        }
    },
]


@pytest.mark.parametrize("raw", RIGHT)
def test_a_right_value_is_no_error(raw: Any) -> None:
    assert list(configuration.found_in(raw, DATABASES)) == []


def test_every_problem_is_reported_not_only_the_first() -> None:
    raw = {"default": {"REPLICAS": ["a", "b"]}}
    assert [problem.id for problem in configuration.found_in(raw, DATABASES)] == ["gmf_router.E003"] * 2
