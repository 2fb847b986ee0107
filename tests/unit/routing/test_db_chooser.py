"""Do the rules over `METHOD /path` say what the chapter says?"""

from __future__ import annotations

import pytest

from django_gmf_router.routing.db_chooser import DbChooser

CHOOSER = DbChooser(
    read_methods=["GET", "HEAD", "OPTIONS"],
    master=[r"GET /s/.*", r"\w+ /both"],
    slave=[r"\w+ /printproxy/.*", r"\w+ /both"],
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
    chooser = DbChooser(read_methods=["GET"], master=["GET /s"], slave=[])
    assert chooser.verdict("GET", "/search").reason == "master_override"
