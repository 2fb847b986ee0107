"""Is a pattern only said to be shadowed where it surely is?"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_gmf_router.routing.db_chooser import shadows

atoms = st.sampled_from(
    [
        "a", "b", "/", "s", " ", "GET", "GET /", r"\w", r"\d", r"\.", ".", "[ab]", "[^/]", "[]a]", r"[\]]", "(a|b)",
        "(?:ab)", "(?P<id>a)", "(?=a)", "(?!b)", "(?<=a)", r"\b", "^", "$", "(a(b)?)", r"\x61", "(?i:A)", "{", "}",
    ]
)  # fmt: skip
repeats = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,}", "*?", "{,2}"])
simple = st.lists(st.tuples(atoms, repeats).map("".join), max_size=6).map("".join)
subjects = st.text(alphabet="ab/s GET1.{}A\n", max_size=12)


def compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


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
        ("(GET|HEAD) /s/.*", "(GET|HEAD) /s/x", True),
        (r"GET /a\.*", r"GET /a\.b", False),
        ("GET /[a", "GET /[ab]", False),
        ("GET /a", "GET /ab{2}|POST /b", False),
        ("GET /a", "GET /a(b|c)", True),
        ("GET /a", "GET /a(b(c)|d)e", True),
        ("GET /a", "GET /a(b)|c", False),
        ("GET /a", r"GET /a\|b", True),
        ("GET /a", "GET /ab[|]", True),
        ("GET /a", "GET /a+", False),
        ("GET /a", "GET /a{2}", False),
    ],
)
def test_a_pattern_shadows_what_begins_with_it(pattern: str, later: str, expected: bool) -> None:
    assert shadows(pattern, later) is expected


@given(simple, simple, subjects)
def test_a_shadowed_pattern_never_matches_alone(pattern: str, later: str, subject: str) -> None:
    if compiles(pattern) and compiles(later) and shadows(pattern, later) and re.match(later, subject):
        assert re.match(pattern, subject)
