"""How do the tests that measure print their figures at the end?"""

from __future__ import annotations

from collections.abc import Sequence

import pytest


def print_figures(terminal: pytest.TerminalReporter, title: str, lines: Sequence[str]) -> None:
    """Print a section, if something was measured."""
    if lines:
        terminal.section(title)
    for line in lines:
        terminal.line(line)
