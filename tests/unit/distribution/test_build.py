"""Are warnings of a build seen?"""

from __future__ import annotations

import pytest

from tests.distribution.__main__ import warnings_in


@pytest.mark.parametrize(
    "line",
    [
        "warning: no files found matching 'CHANGES.md'",
        "  SetuptoolsDeprecationWarning: `project.license` as a TOML table is deprecated",
        "_Warning: Package 'x.locale' is absent from the `packages` configuration.",
    ],
)
def test_a_warning_of_setuptools_is_seen(line: str) -> None:
    assert warnings_in(f"running sdist\n{line}\nwriting manifest file") == [line.strip()]


def test_files_that_were_not_there_to_be_left_out_are_nothing_to_warn_of() -> None:
    assert warnings_in("warning: no previously-included files matching '*.py[cod]' found anywhere\ncopying x") == []
