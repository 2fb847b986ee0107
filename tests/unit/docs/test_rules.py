"""Are the rules on the pages those of the code, in its order?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from django_gmf_router.replicas import pool
from django_gmf_router.routing import blocks, db_chooser, explain, policy
from tests.unit.docs.pages import ROOT, prose, rules, text_of

EXPLANATION = "docs/explanation/how-a-query-finds-its-database.md"
IN_ORDER = [
    (2, ["primary_model", "no_primary"]),
    (3, ["use_primary", "use_replica"]),
    (4, ["outside_request"]),
    (5, ["master_override"]),
    (6, ["write_method"]),
    (7, ["wrote"]),
    (8, ["atomic"]),
    (9, ["instance"]),
    (10, ["slave_override", "read_method"]),
]
AFTER_THE_RULES = ["no_replica", "consistency"]
LATER = {"maintenance"}


@pytest.mark.parametrize("page", ["README.md", EXPLANATION])
def test_the_table_of_rules_is_the_policy_in_order(page: str) -> None:
    assert rules(page) == IN_ORDER


@pytest.mark.parametrize("page", ["README.md", EXPLANATION])
def test_the_reasons_of_the_replica_pool_follow_the_rules(page: str) -> None:
    rows = re.findall(r"^\| - \|.*\| primary \| `(\w+)` \|$", text_of(page), re.MULTILINE)
    assert rows == AFTER_THE_RULES


def test_the_tables_name_every_reason_that_the_code_gives() -> None:
    given = {*policy.PRIMARY_REASONS, blocks.use_replica().reason}
    given |= {verdict.reason for verdict in vars(db_chooser).values() if isinstance(verdict, db_chooser.Verdict)}
    given |= set(re.findall(r'_on_replica\(.*"(\w+)"', Path(policy.__file__).read_text()))
    assert {reason for _, reasons in IN_ORDER for reason in reasons} == given - set(AFTER_THE_RULES)


def test_the_replica_pool_gives_the_reasons_that_follow_the_rules() -> None:
    found = re.findall(r'None, "(\w+)"', Path(pool.__file__).read_text())
    assert sorted(found) == sorted(AFTER_THE_RULES)


def test_a_reason_outside_the_table_is_explained() -> None:
    page = prose(EXPLANATION)
    assert [reason for reason in LATER if f"`{reason}`" not in page] == []


def test_a_reason_that_is_said_to_come_later_is_not_in_the_code() -> None:
    rooms = [ROOT / "django_gmf_router" / room for room in ("routing", "replicas")]
    code = "".join(path.read_text() for room in rooms for path in room.glob("*.py"))
    assert [reason for reason in LATER if re.search(rf'"{reason}"', code)] == []


@pytest.mark.parametrize(
    ("method", "path", "primary_model"),
    [("GET", "/", None), ("GET", "/m", "a.B"), ("POST", "/m", None), ("POST", "/", "a.B"), ("POST", "/s", None)],
)
def test_gmf_explain_numbers_the_rules_as_the_table_does(method: str, path: str, primary_model: str | None) -> None:
    chooser = db_chooser.DbChooser(read_methods=["GET"], master=[r"\w+ /m"], slave=["POST /s"])
    holding = explain.rules_that_hold(chooser, method=method, path=path, primary_model=primary_model)
    numbers = {reason: number for number, reasons in IN_ORDER for reason in reasons}
    assert [numbers[rule.reason] for rule in holding] == [rule.number for rule in holding]
    assert [rule.number for rule in holding] == sorted(rule.number for rule in holding)


def test_the_policy_says_where_its_table_stands() -> None:
    assert EXPLANATION in (policy.__doc__ or "")
    assert "## The policy" in text_of(EXPLANATION)
