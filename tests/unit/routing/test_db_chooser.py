"""Do the rules over `METHOD /path` say what the chapter says?"""

from __future__ import annotations

import re

import pytest

from django_gmf_router.routing.db_chooser import DbChooser
from django_gmf_router.settings.sections import PatternsConfig
from django_gmf_router.settings.values import ClusterConfig

CHOOSER = DbChooser(
    ClusterConfig(
        primary="default",
        db_chooser=PatternsConfig(
            master=(r"GET /s/.*", r"\w+ /both"),
            slave=(r"\w+ /printproxy/.*", r"\w+ /both"),
        ),
    )
)


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("GET /", ("replica", "read_method")),
        ("HEAD /", ("replica", "read_method")),
        ("OPTIONS /", ("replica", "read_method")),
        ("POST /", ("primary", "write_method")),
        ("PUT /", ("primary", "write_method")),
        ("PATCH /", ("primary", "write_method")),
        ("DELETE /", ("primary", "write_method")),
        ("TRACE /", ("primary", "write_method")),
        ("PROPFIND /", ("primary", "write_method")),
        ("GET /s/abc", ("primary", "master_override")),
        ("HEAD /s/abc", ("replica", "read_method")),
        ("GET /S/abc", ("replica", "read_method")),
        ("GET /x/s/abc", ("replica", "read_method")),
        ("POST /printproxy/report", ("replica", "slave_override")),
        ("GET /printproxy/report", ("replica", "read_method")),
        ("GET /both", ("primary", "master_override")),
        ("POST /both", ("primary", "master_override")),
    ],
)
def test_the_rules_over_a_request(request_line: str, expected: tuple[str, str]) -> None:
    method, path = request_line.split(" ", 1)
    verdict = CHOOSER.verdict(method, path)
    assert (verdict.role, verdict.reason) == expected


def test_a_pattern_is_anchored_at_the_start_only() -> None:
    chooser = DbChooser(ClusterConfig(primary="default", db_chooser=PatternsConfig(master=("GET /s",))))
    assert chooser.verdict("GET", "/search").reason == "master_override"


def test_each_request_is_counted_for_the_pattern_that_decided_it() -> None:
    chooser = DbChooser(
        ClusterConfig(
            primary="default",
            db_chooser=PatternsConfig(master=(r"GET /s/.*", r"\w+ /both"), slave=(r"POST /search", r"\w+ /both")),
            # With one all patterns are tried.
            chooser="tests.unit.routing.test_careful_start.chose",
        )
    )
    for request_line in ("GET /s/a", "GET /s/b", "POST /both", "POST /search", "GET /", "POST /"):
        chooser.verdict(*request_line.split(" ", 1))
    # To ask what would be is no request.
    chooser.verdict("GET", "/s/c", completely=True)
    counted = {("master", r"GET /s/.*"): 2, ("master", r"\w+ /both"): 1, ("slave", "POST /search"): 1}
    assert dict(chooser.hits) == counted


@pytest.mark.parametrize(
    ("patterns", "subject", "matches"),
    [
        ((r"GET /\(?P<x>a", r"GET /x"), "GET /x", True),
        ((r"GET /(a)\1", "(?i)get /b"), "GET /B", True),
        (("GET /s", "GET /search$"), "GET /searches", True),
        ((), "GET /", False),
    ],
)
def test_each_pattern_is_tried_as_re_match_tries_it(patterns: tuple[str, ...], subject: str, matches: bool) -> None:
    chooser = DbChooser(ClusterConfig(primary="default", db_chooser=PatternsConfig(master=patterns)))
    method, _, path = subject.partition(" ")
    expected = next((pattern for pattern in patterns if re.match(pattern, subject)), None)
    assert chooser.verdict(method, path).master == expected
    assert (expected is not None) is matches
