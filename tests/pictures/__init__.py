"""Which pictures of the documents are drawn from data, and by what?"""

from __future__ import annotations

from collections.abc import Callable

from tests.pictures import architecture, election, figures, rules

PICTURES: dict[str, Callable[[], str]] = {
    "docs/images/rules.svg": rules.drawn,
    "docs/images/election.svg": election.drawn,
    "docs/images/figures.svg": figures.drawn,
    "docs/explanation/reference-architecture.svg": architecture.drawn,
}
"""By the file; tests/unit/docs/test_pictures.py compares each with what would be drawn now."""
