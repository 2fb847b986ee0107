"""Does a token survive its way to the client and back, and is nothing else ever taken for one?"""

from __future__ import annotations

import string
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.core.signing import Signer
from django.test import override_settings
from hypothesis import assume, example, given
from hypothesis import strategies as st

from django_gmf_router.consistency import tokens
from django_gmf_router.consistency.tokens import SALT, Mark, Token

NOW = 1_800_000_000.0
MAX_AGE = 60.0
OLD, NEW = "an old secret key", "a new secret key"


def mark(position: int | None = 0x16B374D848, **changed: Any) -> Mark:
    full = {"cluster": "default", "system_identifier": "7415926535897932384", "timeline": 3, "position": position}
    return Mark(**{**full, **changed})


def token(*marks: Mark, time: float = NOW) -> Token:
    return Token(time=time, marks=marks or (mark(),))


def loads(text: Any, *, max_age: float = MAX_AGE, now: float = NOW) -> Token | None:
    return tokens.loads(text, max_age_seconds=max_age, now=now)


def signed(payload: str) -> str:
    return Signer(salt=SALT).sign(payload)


TEXT = tokens.dumps(token())
aliases = st.text(min_size=1, max_size=30).filter(lambda text: text.encode(errors="ignore").decode() == text)
marks = st.builds(
    Mark,
    cluster=aliases,
    system_identifier=st.none() | st.integers(0, 2**64 - 1).map(str),
    timeline=st.none() | st.integers(1, 2**32 - 1),
    position=st.none() | st.integers(0, 2**64 - 1),
)
times = st.integers(0, 2**42).map(lambda milliseconds: milliseconds / 1000)


# There and back


@given(times, st.lists(marks, max_size=3, unique_by=lambda mark: mark.cluster))
def test_a_token_survives_its_text(time: float, found: list[Mark]) -> None:
    sent = Token(time=time, marks=tuple(found))
    text = tokens.dumps(sent)
    assume(len(text) < 1000)
    assert loads(text, now=time) == sent


@given(st.lists(marks, min_size=1, max_size=3))
def test_a_text_needs_no_quoting_in_a_cookie_or_a_header(found: list[Mark]) -> None:
    text = tokens.dumps(Token(time=NOW, marks=tuple(found)))
    assert set(text) <= set(string.ascii_letters + string.digits + "!%-._~:")
    cookie = SimpleCookie({"gmf_token": text})
    assert cookie["gmf_token"].coded_value == text


def test_a_token_of_one_cluster_takes_less_than_200_characters() -> None:
    largest = mark(2**64 - 1, system_identifier=str(2**64 - 1), timeline=2**32 - 1)
    assert len(tokens.dumps(token(largest))) < 200


@pytest.mark.parametrize("count", [1, 5, 20, 200])
def test_no_text_is_longer_than_what_is_read_and_none_forgets_a_cluster(count: int) -> None:
    names = [f"cluster_{number}" for number in range(count)]
    text = tokens.dumps(token(*(mark(cluster=name) for name in names)))
    assert len(text) <= tokens.LONGEST_TEXT
    found = loads(text)
    assert found is not None
    assert all(found.mark(name) is not None for name in names)


def test_where_the_marks_find_no_room_every_cluster_counts_as_written_to_somewhere() -> None:
    found = loads(tokens.dumps(token(*(mark(cluster=f"cluster_{number}") for number in range(100)))))
    assert found is not None
    anywhere = found.mark("cluster_5")
    assert anywhere is not None
    assert anywhere.position is None


def test_a_later_write_to_one_cluster_does_not_hide_that_others_found_no_room() -> None:
    crowded = loads(tokens.dumps(token(*(mark(cluster=f"cluster_{number}") for number in range(100)))))
    assert crowded is not None
    for both in (crowded.merged(token(mark(cluster="city"))), token(mark(cluster="city")).merged(crowded)):
        assert [both.mark(name).position for name in ("city", "cluster_1")] == [None, None]  # type: ignore[union-attr]


def test_the_mark_of_a_cluster_that_was_not_written_to_is_none() -> None:
    assert token().mark("other") is None
    assert token().mark("default") == mark()


def test_the_signature_is_that_of_djangos_own_signer() -> None:
    assert Signer(salt=SALT).unsign(TEXT) == TEXT.rpartition(":")[0]


# Keys


def test_a_text_signed_with_another_key_is_refused() -> None:
    with override_settings(SECRET_KEY="another secret key"):
        assert loads(TEXT) is None
    assert loads(TEXT) == token()


def test_a_text_signed_with_an_old_key_is_read_while_that_is_among_the_fallbacks() -> None:
    with override_settings(SECRET_KEY=OLD):
        old = tokens.dumps(token())
    with override_settings(SECRET_KEY=NEW, SECRET_KEY_FALLBACKS=["an even older one", OLD]):
        assert loads(old) == token()
        assert tokens.dumps(token()) != old
    with override_settings(SECRET_KEY=NEW):
        assert loads(old) is None


def test_a_key_may_be_bytes() -> None:
    with override_settings(SECRET_KEY=b"a key of bytes", SECRET_KEY_FALLBACKS=[b"another"]):
        assert loads(tokens.dumps(token())) == token()


def test_a_text_signed_for_another_purpose_is_refused() -> None:
    payload = TEXT.rpartition(":")[0]
    assert loads(Signer(salt="sessions").sign(payload)) is None
    assert loads(Signer().sign(payload)) is None


# Age


@pytest.mark.parametrize(("age", "counts"), [(0, True), (59.9, True), (60.1, False), (3600, False)])
def test_a_token_counts_for_its_max_age(age: float, counts: bool) -> None:
    assert (loads(TEXT, now=NOW + age) is not None) is counts


@pytest.mark.parametrize(("ahead", "counts"), [(0.001, True), (4.9, True), (5.1, False), (61, False), (10**9, False)])
def test_a_token_from_the_future_counts_as_far_as_clocks_may_differ(ahead: float, counts: bool) -> None:
    assert (loads(TEXT, now=NOW - ahead) is not None) is counts


@pytest.mark.parametrize(("ahead", "counts"), [(0.9, True), (1.1, False)])
def test_a_token_from_the_future_never_counts_for_twice_a_short_max_age(ahead: float, counts: bool) -> None:
    assert (loads(TEXT, now=NOW - ahead, max_age=1) is not None) is counts


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_token_counts_beyond_max_age_and_tolerance(now: float) -> None:
    if loads(TEXT, now=now) is not None:
        assert -tokens.CLOCK_TOLERANCE_SECONDS <= now - NOW <= MAX_AGE


# Hostile and broken


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_a_text_with_one_character_changed_is_refused(place: int, character: str) -> None:
    assume(TEXT[place] != character)
    assert loads(TEXT[:place] + character + TEXT[place + 1 :]) is None


@given(st.integers(0, len(TEXT) - 1))
def test_a_truncated_text_is_refused(length: int) -> None:
    assert loads(TEXT[:length]) is None
    assert loads(TEXT[length + 1 :]) is None


@given(st.integers(0, len(TEXT)), st.text(min_size=1))
def test_a_text_with_something_added_is_refused(place: int, added: str) -> None:
    assume(TEXT[:place] + added + TEXT[place:] != TEXT)
    assert loads(TEXT[:place] + added + TEXT[place:]) is None


@given(st.text())
@example("")
@example(":")
@example("!:")
@example("\ud800")
@example("\ud800:\udfff")
@example("é:é")
@example("\x00")
def test_no_text_of_others_is_taken_for_a_token(text: str) -> None:
    assert loads(text) is None


@given(st.none() | st.binary() | st.integers() | st.floats() | st.lists(st.text()))
def test_what_is_no_text_is_refused(value: object) -> None:
    assert loads(value) is None


def test_a_text_of_bytes_is_refused_though_it_is_signed() -> None:
    assert loads(TEXT.encode()) is None


@pytest.mark.parametrize("length", [1025, 8192, 10**7])
def test_a_long_text_is_refused_before_any_work(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "Signer", None)
    assert loads("x" * length) is None
    assert loads(TEXT + "x" * length) is None


def test_a_long_text_is_refused_though_it_is_signed() -> None:
    assert loads(signed(f"1!{'0' * 2000}1")) is None


@given(st.text(max_size=600))
@example("")
@example("1")
@example("1!")
@example("1!x")
@example("!!!!!!")
@example("2!19a3f5c2b7d")
@example(f"1!{'f' * 900}")
@example("1!1!default!7!1")
@example("1!1!default!7!x!5")
@example("1!1!default!7!1!5!6")
@example("1!-1!default!7!1!5")
@example("1!1_0")
@example("\ud800")
def test_what_is_signed_but_no_token_is_refused_or_expired(payload: str) -> None:
    try:
        text = signed(payload)
    except UnicodeEncodeError:
        return
    assert loads(text) is None


def test_another_version_is_refused() -> None:
    payload = TEXT.rpartition(":")[0]
    assert loads(signed(f"2{payload[1:]}")) is None
    assert loads(signed(payload)) == token()


# Several writes


def test_a_later_write_keeps_the_larger_position() -> None:
    assert token(mark(200)).merged(token(mark(100), time=NOW + 1)) == token(mark(200), time=NOW + 1)
    assert token(mark(100), time=NOW + 1).merged(token(mark(200))) == token(mark(200), time=NOW + 1)


def test_a_write_to_another_cluster_keeps_both_marks_and_the_newer_time() -> None:
    both = token(mark(100)).merged(token(mark(5, cluster="city"), time=NOW + 9))
    assert (both.mark("default"), both.mark("city"), both.time) == (mark(100), mark(5, cluster="city"), NOW + 9)


def test_a_newer_timeline_wins_whatever_the_positions_and_times() -> None:
    old, new = token(mark(900), time=NOW + 1), token(mark(5, timeline=4))
    assert old.merged(new).mark("default") == new.merged(old).mark("default") == mark(5, timeline=4)
    later = token(mark(5, timeline=4), time=NOW + 2)
    assert old.merged(later).mark("default") == later.merged(old).mark("default") == mark(5, timeline=4)


def test_the_newer_of_two_systems_wins() -> None:
    old, new = token(mark(900)), token(mark(5, system_identifier="8"), time=NOW + 1)
    assert old.merged(new).marks == new.merged(old).marks == new.marks


def test_a_write_of_which_only_the_time_is_known_is_not_hidden_by_a_position_captured_at_about_the_same_time() -> None:
    failed, known = token(mark(None), time=NOW), token(mark(100), time=NOW + tokens.CLOCK_TOLERANCE_SECONDS)
    assert failed.merged(known).mark("default") == known.merged(failed).mark("default") == mark(None)


def test_a_position_captured_clearly_later_covers_a_write_of_which_only_the_time_is_known() -> None:
    failed, known = token(mark(None)), token(mark(100), time=NOW + tokens.CLOCK_TOLERANCE_SECONDS + 0.1)
    assert failed.merged(known).mark("default") == known.merged(failed).mark("default") == mark(100)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 2**64 - 1)), min_size=2, max_size=5), st.randoms())
def test_the_writes_of_a_client_give_one_token_in_whichever_order(writes: list[tuple[int, int]], random: Any) -> None:
    def total(found: list[tuple[int, int]]) -> Token:
        first, *rest = (token(mark(position), time=NOW + seconds) for seconds, position in found)
        for each in rest:
            first = first.merged(each)
        return first

    shuffled = random.sample(writes, len(writes))
    assert total(writes) == total(shuffled)
    assert total(writes) == token(mark(max(p for _, p in writes)), time=NOW + max(t for t, _ in writes))
