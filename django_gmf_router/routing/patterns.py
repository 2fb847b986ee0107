"""How are a thousand regular expressions tried at the cost of a few?

Patterns are cut into tokens and folded into one expression that shares every common beginning, a trie: the time of a
match then follows the length of the subject, not the number of patterns. `XA|XB` and `X(?:A|B)` match the same
subjects as long as no part refers to another by number, name or flag; patterns that do are matched alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

_TOKEN = re.compile(
    r"""
    (?P<atom>
        \\x[0-9a-fA-F]{2} | \\u[0-9a-fA-F]{4} | \\U[0-9a-fA-F]{8} | \\N\{[^}]*\} | \\[0-7]{1,3} | \\.
      | \[\^?\]?(?:\\.|\[:|[^\]\\])*\]
      | (?P<group>\()
      | [^\\\[()|]
    )
    (?P<repeat>(?:[*+?]|\{\d*,?\d*\})[+?]?)?
    """,
    re.VERBOSE | re.DOTALL,
)
_ALONE = re.compile(r"\\[1-9]|\(\?P=|\(\?\(|\(\?[aiLmsux]+[-):]|\(\?-|\(\?#|\[[^\]]*\(\?P<")
_NAMED = re.compile(r"(?<!\\)\(\?P<\w+>")
_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]|[^\\\[()]+", re.DOTALL)
_REPEAT = re.compile(r"(?:(?:[*+?]|\{\d*,?\d*\})[+?]?)?")
Tree = dict[str, Any]
_END = ""


class PatternSet:
    """Regular expressions of which one must match at the start of the subject, as `re.match` does."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Compile `patterns`; they have been checked to compile one by one."""
        self.patterns = tuple(patterns)
        tree: Tree = {}
        alone = []
        for pattern in self.patterns:
            tokens = tokenize(pattern)
            if tokens is None:
                alone.append(pattern)
            else:
                _plant(tree, tokens)
        folded = [_fold(tree)] if tree else []
        self._match = tuple(re.compile(source).match for source in (*folded, *alone))

    @property
    def expressions(self) -> int:
        """The number of expressions that a match has to try."""
        return len(self._match)

    def matches(self, subject: str) -> bool:
        """Return whether one of the patterns matches at the start of `subject`."""
        for match in self._match:  # noqa: SIM110  a generator costs more than most matches
            if match(subject):
                return True
        return False

    def first_match(self, subject: str) -> str | None:
        """Return the first pattern that matches, for people; slow, it tries one after the other."""
        return next((pattern for pattern in self.patterns if re.match(pattern, subject)), None)


def tokenize(pattern: str) -> list[str] | None:
    """Cut `pattern` into its atoms, each with its repetition; None where it has to be matched alone."""
    if _ALONE.search(pattern):
        return None
    pattern = _NAMED.sub("(?:", pattern)
    tokens, position = [], 0
    while position < len(pattern):
        found = _TOKEN.match(pattern, position)
        if found is None:
            return None
        end = found.end()
        if found["group"]:
            end = _end_of_group(pattern, position)
        tokens.append(pattern[position:end])
        position = end
    return tokens


def _end_of_group(pattern: str, position: int) -> int:
    depth = 1
    position += 1
    while depth:
        found = _PIECE.match(pattern, position)
        if found is None:
            return len(pattern)
        position = found.end()
        depth += {"(": 1, ")": -1}.get(found[0], 0)
    repeat = _REPEAT.match(pattern, position)
    return repeat.end() if repeat else position


def _plant(tree: Tree, tokens: Iterable[str]) -> None:
    for token in tokens:
        tree = tree.setdefault(token, {})
    tree[_END] = {}


def _fold(tree: Tree) -> str:
    """Write the tree as one expression; what ends here makes everything longer needless, since nothing is anchored."""
    if _END in tree:
        return ""
    branches = [token + _fold(below) for token, below in tree.items()]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def shadows(pattern: str, later: str) -> bool:
    """Return whether all that `later` matches is surely matched by `pattern`: it begins with the same expression."""
    if pattern == later:
        return True
    tokens, later_tokens = tokenize(pattern), tokenize(later)
    if tokens is None or later_tokens is None:
        return False
    while tokens and tokens[-1] == ".*":
        tokens.pop()
    return later_tokens[: len(tokens)] == tokens
