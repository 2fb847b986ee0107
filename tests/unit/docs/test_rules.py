"""Are the rules on the pages those of the code, in its order?"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.test import override_settings

from django_gmf_router import clusters
from django_gmf_router.replicas import pool
from django_gmf_router.routing import rules as table
from django_gmf_router.routing.advice import explain
from django_gmf_router.routing.rules import RULES
from tests.books.models import Book
from tests.unit.docs.pages import rules, text_of

EXPLANATION = "docs/explanation/how-a-query-finds-its-database.md"
AFTER_THE_RULES = ["no_replica", "shared", "consistency"]


def test_the_table_of_rules_is_the_policy_rule_by_rule() -> None:
    rows = re.findall(r"^\| (\d+\w?) \| (.+) \| (\w+) \| `(\w+)` \|$", text_of(EXPLANATION), re.MULTILINE)
    assert rows == [(str(rule.number), rule.when, str(rule.role), rule.reason) for rule in RULES]


def test_the_readme_has_the_same_rules_in_the_same_order() -> None:
    grouped = groupby(RULES, key=lambda rule: str(rule.number))
    expected = [(number, list(dict.fromkeys(rule.reason for rule in of_number))) for number, of_number in grouped]
    assert rules("README.md") == expected


@pytest.mark.parametrize("page", ["README.md", EXPLANATION])
def test_the_reasons_of_the_replica_pool_follow_the_rules(page: str) -> None:
    rows = re.findall(r"^\| - \|.*\| primary \| `(\w+)` \|$", text_of(page), re.MULTILINE)
    assert rows == AFTER_THE_RULES


def test_the_replica_pool_gives_the_reasons_that_follow_the_rules() -> None:
    found = re.findall(r'None, "(\w+)"', Path(pool.__file__).read_text())
    assert sorted(found) == sorted(AFTER_THE_RULES)


@pytest.mark.parametrize("model", [Book, Session])
@pytest.mark.parametrize("line", ["GET /", "GET /m", "POST /m", "POST /", "POST /s"])
def test_gmf_explain_prints_the_rules_in_the_order_of_the_table(line: str, model: type[Book | Session]) -> None:
    entry = {"REPLICAS": ["replica_1"], "DB_CHOOSER": {"master": [r"\w+ /m"], "slave": ["POST /s"]}}
    method, path = line.split()
    with override_settings(GMF_ROUTER={"default": entry}):
        (cluster,) = clusters.registry().clusters
        found = explain(cluster.config, cluster.policy, method=method, path=path, model=model)
    printed = [(rule.number, rule.reason) for rule in found.rules]
    assert printed
    assert printed == [pair for rule in RULES if (pair := (rule.number, rule.reason)) in printed]


def test_the_policy_says_where_its_table_stands() -> None:
    assert EXPLANATION in (table.__doc__ or "")
    assert "## The policy" in text_of(EXPLANATION)
