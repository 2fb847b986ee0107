"""Are schema names quoted right, or refused with one clear line?"""

from __future__ import annotations

import pytest

from django_gmf_router.postgres.names import problem, quote, search_path


@pytest.mark.parametrize(
    "name", ["main", "Main", 'a"b', "a.b", "select", "with space", "a,b", "é" * 31, "x" * 63, "%s"]
)
def test_a_name_that_can_be_quoted_is_sound(name: str) -> None:
    assert problem(name) is None


@pytest.mark.parametrize(
    "name",
    ["", None, 3, "x" * 64, "é" * 32, "pg_catalog", "pg_mine", "information_schema", "$user", "a\nb", "a\0b", "\ud800"],
)
def test_a_name_that_cannot_be_used_is_refused_in_one_line(name: object) -> None:
    found = problem(name)
    assert found is not None
    assert repr(name) in found
    assert "\n" not in found


def test_quotes_within_a_name_are_doubled() -> None:
    assert quote('a"b.C') == '"a""b.C"'


def test_a_search_path_names_each_schema_once_in_order() -> None:
    assert search_path("main", "static", "public", "main") == '"main", "static", "public"'
