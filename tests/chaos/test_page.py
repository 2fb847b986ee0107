"""Does the page "What happens when ..." name tests that there are?"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "explanation" / "what-happens-when.md"
NAMED = re.compile(r"`((?:test_|\.\.\.)[\w.]+)`")


def test_each_test_that_the_page_names_is_there() -> None:
    paths = [*HERE.glob("test_*.py"), *HERE.with_name("cluster").glob("test_*.py")]
    tests = re.findall(r"def (test_\w+)\(", "\n".join(path.read_text() for path in paths))
    named = NAMED.findall(PAGE.read_text())
    patterns = {name: re.escape(name).replace(r"\.\.\.", ".*") for name in named}
    assert len(named) > 20
    assert [name for name, pattern in patterns.items() if not any(re.fullmatch(pattern, test) for test in tests)] == []
