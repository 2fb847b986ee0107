"""Does a search_path come through libpq's options as it was meant?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_gmf_router.postgres.libpq import (
    READ_ONLY,
    parse,
    read_only_options,
    search_path_in,
    with_search_path,
)
from django_gmf_router.postgres.names import problem

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


@pytest.mark.parametrize("given", [None, ""])
def test_a_replicas_session_is_read_only(given: str | None) -> None:
    assert read_only_options(given) == READ_ONLY


@pytest.mark.parametrize(
    "given",
    [
        "-c jit=off",
        "-c default_transaction_read_only=off",
        f"{READ_ONLY} -c default_transaction_read_only=off",
        f"{READ_ONLY} --default-transaction-read-only=false",
        r"-c application_name=a\ -c\ default_transaction_read_only=on",
    ],
)
def test_read_only_stands_last_whatever_the_options_say_before(given: str) -> None:
    assert read_only_options(given) == f"{given} {READ_ONLY}"


@pytest.mark.parametrize(
    "given", [READ_ONLY, f"-c jit=off {READ_ONLY}", f"{READ_ONLY} -c jit=off", "--Default-Transaction-Read-Only=on"]
)
def test_a_session_that_is_read_only_already_is_left(given: str) -> None:
    assert read_only_options(given) == given


@given(st.tuples(names, names, names))
def test_every_sound_name_comes_back_as_it_went(path: tuple[str, str, str]) -> None:
    assert search_path_in(with_search_path("-c jit=off", path)) == path


def test_a_path_as_the_server_shows_it_is_read() -> None:
    assert parse('"$user", public') == ("$user", "public")
    assert parse("") == ()
