"""Does a search_path come through libpq's options as it was meant?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_gmf_router.postgres.names import problem
from django_gmf_router.postgres.session_options import parse, search_path_in, with_search_path

PATH = ("main", "static", "public")
names = st.text(min_size=1, max_size=15).filter(lambda name: problem(name) is None)


def test_the_path_is_added_to_what_the_site_has_there() -> None:
    assert with_search_path(None, PATH) == '-c search_path="main","static","public"'
    assert with_search_path("-c jit=off", PATH) == '-c jit=off -c search_path="main","static","public"'


def test_a_path_that_is_there_is_left() -> None:
    assert with_search_path("-c search_path=mine", PATH) == "-c search_path=mine"


@pytest.mark.parametrize(
    "options",
    [
        "-c search_path=main,static,public",
        "-csearch_path=main,static,public",
        "--search_path=Main,static,PUBLIC",
        "--search-path=main,static,public",
        r"-c search_path=main,\ static,\ public -c jit=off",
        '-c search_path=old -c search_path="main","static",public',
    ],
)
def test_a_path_is_found_in_every_spelling_that_the_server_takes(options: str) -> None:
    assert search_path_in(options) == PATH


@pytest.mark.parametrize("options", [None, "", "-c jit=off", r"-c application_name=a\ -c\ search_path=b"])
def test_where_there_is_none_none_is_found(options: str | None) -> None:
    assert search_path_in(options) is None


@given(st.tuples(names, names, names))
def test_every_sound_name_comes_back_as_it_went(path: tuple[str, str, str]) -> None:
    assert search_path_in(with_search_path("-c jit=off", path)) == path


def test_a_path_as_the_server_shows_it_is_read() -> None:
    assert parse('"$user", public') == ("$user", "public")
    assert parse("") == ()
