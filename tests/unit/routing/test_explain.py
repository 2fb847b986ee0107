"""Are the rules that hold listed in the order of the policy, the one that decides first?"""

from __future__ import annotations

import pytest

from django_gmf_router.routing.db_chooser import DbChooser
from django_gmf_router.routing.explain import rules_that_hold

CHOOSER = DbChooser(read_methods=["GET"], master=[r"GET /s/.*", r"\w+ /s"], slave=[r"\w+ /s", "POST /p"])


@pytest.mark.parametrize(
    ("method", "path", "model", "expected"),
    [
        ("GET", "/", None, [(10, "read_method")]),
        ("POST", "/", None, [(6, "write_method")]),
        ("POST", "/p", None, [(10, "slave_override")]),
        ("GET", "/s/x", None, [(5, "master_override"), (10, "read_method"), (10, "slave_override")]),
        ("POST", "/s", None, [(5, "master_override"), (10, "slave_override")]),
        ("GET", "/", "a.B", [(2, "primary_model"), (10, "read_method")]),
    ],
)
def test_the_rules_that_hold(method: str, path: str, model: str | None, expected: list[tuple[int, str]]) -> None:
    rules = rules_that_hold(CHOOSER, method=method, path=path, primary_model=model)
    assert [(rule.number, rule.reason) for rule in rules] == expected
    if expected[0][1] != "primary_model":
        verdict = CHOOSER.verdict(method, path)
        assert (rules[0].role, rules[0].reason) == (verdict.role, verdict.reason)


def test_a_rule_names_the_pattern_that_made_it() -> None:
    (first, *_) = rules_that_hold(CHOOSER, method="GET", path="/s", primary_model=None)
    assert r'holds r"\w+ /s"' in first.text
