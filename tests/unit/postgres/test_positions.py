"""Are positions written as PostgreSQL does, and is an insert position at rest one that replicas reach?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_gmf_router.postgres import positions

BLOCK = 8192
MIB = 2**20
SEGMENT = 16 * MIB
numbers = st.integers(min_value=0, max_value=2**64 - 1)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0/0", 0),
        ("0/1", 1),
        ("1/0", 2**32),
        ("16/B374D848", 0x16B374D848),
        ("0/B374D84", 0x0B374D84),
        ("FFFFFFFF/FFFFFFFF", 2**64 - 1),
    ],
)
def test_a_position_is_written_as_postgresql_writes_it(text: str, number: int) -> None:
    assert positions.format_position(number) == text


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_number_beyond_64_bits_is_no_position(number: int) -> None:
    with pytest.raises(ValueError, match="is no position"):
        positions.format_position(number)


@given(numbers)
def test_a_text_is_as_postgresql_prints_it(number: int) -> None:
    text = positions.format_position(number)
    assert text == text.upper()
    assert text.count("/") == 1
    assert not any(half != "0" and half.startswith("0") for half in text.split("/"))


@pytest.mark.parametrize(
    ("insert", "rest"),
    [
        (SEGMENT + 40, SEGMENT),
        (7 * SEGMENT + 40, 7 * SEGMENT),
        (SEGMENT + BLOCK + 24, SEGMENT + BLOCK),
        (24, 0),
        # Segments of 1 MiB and of 1 GiB.
        (3 * MIB + 40, 3 * MIB),
        (1024 * MIB + 40, 1024 * MIB),
    ],
)
def test_an_insert_position_after_a_header_rests_before_it(insert: int, rest: int) -> None:
    assert positions.at_rest(insert) == rest


@pytest.mark.parametrize("within", [0, 8, 16, 32, 48, 100, BLOCK - 8])
def test_an_insert_position_within_a_page_stays(within: int) -> None:
    assert positions.at_rest(SEGMENT + within) == SEGMENT + within
    assert positions.at_rest(SEGMENT + BLOCK + within) == SEGMENT + BLOCK + within


def test_a_record_of_40_bytes_may_end_16_bytes_after_the_header_of_a_block() -> None:
    # One that began 24 bytes before the block: replicas report just this place once they have replayed it.
    end = SEGMENT + BLOCK + 40
    assert positions.at_rest(end) == end


@given(numbers)
def test_at_rest_is_at_most_a_header_before_and_at_rest_itself(number: int) -> None:
    rest = positions.at_rest(number)
    assert number - rest in {0, 24, 40}
    assert positions.at_rest(rest) == rest
