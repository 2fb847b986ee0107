"""Are the rules that hold listed in the order of the policy, the one that decides first?"""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import router
from django.test import override_settings

from django_gmf_router import clusters, current_decision
from django_gmf_router.routing.advice import Explanation, explain
from tests.books.models import Author, Book
from tests.conftest import OpenUnit

CHOOSER = {"master": [r"GET /s/.*", r"\w+ /s"], "slave": [r"\w+ /s", "POST /p"]}


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    entry = {"REPLICAS": ["replica_1"], "READ_METHODS": ["GET"], "DB_CHOOSER": CHOOSER}
    with override_settings(GMF_ROUTER={"default": entry}):
        yield


def explained(method: str, path: str, model: Any = None) -> Explanation:
    (cluster,) = clusters.registry().clusters
    return explain(cluster.config, cluster.policy, method=method, path=path, model=model)


@pytest.mark.parametrize(
    ("method", "path", "model", "expected"),
    [
        ("GET", "/", None, [(10, "read_method")]),
        ("POST", "/", None, [(6, "write_method")]),
        ("POST", "/p", None, [(10, "slave_override")]),
        ("GET", "/s/x", None, [(5, "master_override"), (10, "read_method"), (10, "slave_override")]),
        ("POST", "/s", None, [(5, "master_override"), (10, "slave_override")]),
        ("GET", "/", Session, [(2, "primary_model"), (10, "read_method")]),
    ],
)
def test_the_rules_that_hold(
    open_request: OpenUnit, method: str, path: str, model: Any, expected: list[tuple[int, str]]
) -> None:
    found = explained(method, path, model)
    assert [(rule.number, rule.reason) for rule in found.rules] == expected
    with open_request(method, path):
        router.db_for_read(model or Book)
        decision = current_decision()
    assert decision is not None
    assert (decision.role, decision.reason) == (found.rules[0].role, found.rules[0].reason)


def test_a_rule_names_the_pattern_that_made_it() -> None:
    assert r'holds r"\w+ /s"' in explained("GET", "/s").rules[0].text


def test_a_program_reads_the_same_as_json() -> None:
    found = explained("GET", "/s/x").as_dict()
    assert (found["method"], found["path"]) == ("GET", "/s/x")
    assert found["rule"] == {
        "number": 5,
        "role": "primary",
        "reason": "master_override",
        "text": explained("GET", "/s/x").rules[0].text,
    }
    beaten = found["beat"]
    assert isinstance(beaten, list)
    assert [rule["number"] for rule in beaten] == [10, 10]


POOLS = {
    "REPLICAS": {"replica_1": {"TIER": 2}, "replica_2": {"POOL": "reports"}},
    "POOLS": {"reports": ["GET /reports"]},
    "PRIMARY_WEIGHT": 1,
}


@pytest.mark.parametrize(
    ("line", "pool", "aliases", "then"),
    [
        ("GET /reports", "reports", ("replica_2",), ("replica_1",)),
        ("GET /", None, ("replica_1", "default"), ()),
        ("POST /reports", None, ("default",), ()),
    ],
)
def test_the_pool_of_the_request_and_who_stands_in_are_named(
    line: str, pool: str | None, aliases: tuple[str, ...], then: tuple[str, ...]
) -> None:
    with override_settings(GMF_ROUTER={"default": POOLS}):
        found = explained(*line.split())
    assert (found.pool, found.aliases, found.then) == (pool, aliases, then)
    assert (found.as_dict()["pool"], found.as_dict()["then"]) == (pool, list(then))


def test_where_each_replica_has_a_pool_the_primary_serves_all_else() -> None:
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": {"replica_1": {"POOL": "reports"}}}}):
        assert explained("GET", "/").aliases == ("default",)


@pytest.mark.parametrize(
    ("entry", "model", "reason", "but"),
    [
        ({"REPLICA_MODELS": ["library.Book"]}, Author, "not_opted_in", []),
        ({"REPLICA_MODELS": ["library.Book"]}, Book, "read_method", []),
        ({"REPLICA_MODELS": ["library.Book"]}, None, "read_method", []),
        ({"SHARE": 0}, None, "share", []),
        ({"SHARE": 0.05}, None, "read_method", ["for a SHARE of 0.05 of the clients; for the others primary, share"]),
        ({"CHOOSER": "office.by_group"}, None, "read_method", ["unless CHOOSER, office.by_group, says otherwise"]),
        ({"CHOOSER": "office.by_group", "DB_CHOOSER": {"master": ["GET /"]}}, None, "master_override", []),
        ({"CHOOSER": "office.by_group"}, Session, "primary_model", []),
        ({"DRY_RUN": True}, None, "read_method", ["DRY_RUN: the primary is read all the same"]),
        ({"DRY_RUN": True}, Session, "primary_model", []),
    ],
)
def test_what_a_careful_start_leaves_open_is_said(
    entry: dict[str, Any], model: Any, reason: str, but: list[str]
) -> None:
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], **entry}}):
        found = explained("GET", "/", model)
        out = StringIO()
        call_command("gmf_explain", "GET", "/", *(["--model", model._meta.label] if model else []), stdout=out)
    assert found.decided_by is not None
    assert found.decided_by.reason == reason
    assert list(found.but) == found.as_dict()["but"] == but
    assert [line for line in but if f"\n  {line}\n" not in out.getvalue()] == []
