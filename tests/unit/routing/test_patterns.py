"""Do folded patterns match exactly what they match one by one?"""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_gmf_router.routing.patterns import PatternSet, shadows, tokenize

atoms = st.sampled_from(
    [
        "a", "b", "/", "s", " ", "GET", "GET /", r"\w", r"\d", r"\.", ".", "[ab]", "[^/]", "[]a]", r"[\]]", "(a|b)",
        "(?:ab)", "(?P<id>a)", "(?=a)", "(?!b)", "(?<=a)", r"\b", "^", "$", "(a(b)?)", r"\x61", "(?i:A)", "{", "}",
    ]
)  # fmt: skip
repeats = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,}", "*?", "{,2}"])
simple = st.lists(st.tuples(atoms, repeats).map("".join), max_size=6).map("".join)
hard = st.sampled_from([r"(a)\1", "(?i)get /", "a|b", "(?P<x>a)(?P=x)", "(a)?(?(1)b|s)", "(?#c)a", "(?s)a.b", "|"])
patterns = st.lists(st.one_of(simple, simple, hard), max_size=8)
subjects = st.text(alphabet="ab/s GET1.{}A\n", max_size=12)


def compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


@given(patterns, subjects)
@example([r"\(?P<x>a"], "?P<x>a")
@example([r"[(?P<x>]", "(?P<x>b)"], "P")
@example(["GET /s", "GET /search$"], "GET /searches")
@example(["ab*", "ab"], "a")
@example(["(?P<id>a)", "(?P<id>b)"], "b")
@example(["a{2}", "a{1,}b"], "ab")
def test_the_meaning_is_that_of_re_match_one_by_one(many: list[str], subject: str) -> None:
    many = [pattern for pattern in many if compiles(pattern)]
    expected = [pattern for pattern in many if re.match(pattern, subject)]
    folded = PatternSet(many)
    assert folded.matches(subject) is bool(expected)
    assert folded.first_match(subject) == (expected[0] if expected else None)


def test_a_thousand_patterns_become_one_expression() -> None:
    folded = PatternSet([rf"\w+ /layer{number}/(?P<id>\d+)$" for number in range(1000)])
    assert folded.expressions == 1
    assert folded.matches("GET /layer999/12")
    assert not folded.matches("GET /layer1000/12")


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?i)a", "(?P<x>a)(?P=x)", "(a)?(?(1)b|c)", "a|b", "(?#c)a"])
def test_what_refers_to_itself_by_number_name_or_flag_is_matched_alone(pattern: str) -> None:
    assert tokenize(pattern) is None
    assert PatternSet([pattern, "x", "y"]).expressions == 2


def test_no_pattern_matches_nothing() -> None:
    assert not PatternSet([]).matches("GET /")


@pytest.mark.parametrize(
    ("pattern", "later", "expected"),
    [
        ("GET /s", "GET /search", True),
        ("GET /s/.*", "GET /s/x", True),
        ("GET /s", "GET /s", True),
        ("GET /s+", "GET /s", False),
        ("GET /s", "GET /s?", False),
        ("GET /s$", "GET /s/x", False),
        ("GET /x", "GET /s", False),
        ("a|b", "ab", False),
        ("a|b", "a|b", True),
    ],
)
def test_a_pattern_shadows_what_begins_with_it(pattern: str, later: str, expected: bool) -> None:
    assert shadows(pattern, later) is expected


@given(simple, simple, subjects)
def test_a_shadowed_pattern_never_matches_alone(pattern: str, later: str, subject: str) -> None:
    if compiles(pattern) and compiles(later) and shadows(pattern, later) and re.match(later, subject):
        assert re.match(pattern, subject)
