"""Do the mutations of `make teeth` fit the source and the tests as they are now?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.teeth.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
by_promise = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.promise)


@by_promise
def test_a_quote_is_part_of_one_line_and_stands_once_in_its_file(mutation: Mutation) -> None:
    assert "\n" not in mutation.quote
    assert (ROOT / mutation.file).read_text().count(mutation.quote) == 1


@by_promise
def test_the_test_that_has_to_notice_exists(mutation: Mutation) -> None:
    file, _, name = mutation.test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_a_promise_is_named_once() -> None:
    assert len({mutation.promise for mutation in MUTATIONS}) == len(MUTATIONS)
