"""Which tests run a Python example of a page, and how do they take it from there?

Examples of some kinds are run together, by `RULES`. Of any other a test names the page and words that it holds, in a
call of `example()`, `examples()` or `run_example()`. `test_every_example_runs.py` finds these calls, and who is left.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

from tests.unit.docs.pages import Block, all_blocks, blocks

PASTED = ("README.md", "docs/index.md")
"""The first pages, each of whose examples is pasted into a new site."""
COMING_FROM = "docs/how-to/coming-from/"
MODULE = re.compile(r"# (\S+)\.py\n")
"""The first line of an example that is a file of the site."""
_SETTING = re.compile(r"[A-Z][A-Z_]*|env")


def examples(page: str, words: str) -> list[Block]:
    """Return the Python examples of a page that hold these words; fail where there is none."""
    found = [block for block in blocks(page, "python") if words in block.text]
    assert found, f"{page} has no Python example with {words!r}"
    return found


def example(page: str, words: str) -> Block:
    """Return the one Python example of a page that holds these words."""
    found = examples(page, words)
    assert len(found) == 1, f"{words!r} stands in more than one example: {', '.join(map(str, found))}"
    return found[0]


def execute(block: Block, names: dict[str, Any]) -> dict[str, Any]:
    """Execute an example where these names are known, and return all that are known then."""
    exec(compile(block.text, str(block), "exec"), names)
    return names


def run_example(page: str, words: str, /, dots: str = "...", **known: Any) -> dict[str, Any]:
    """Execute the one example of a page that holds these words, with what the page takes as known; return its names.

    `dots`: what is executed where three dots stand for the reader's own code; a class gets it as its `get()`.
    """
    block = example(page, words)
    code = _Dots(dots).visit(ast.parse(block.text))
    names = {"__name__": "pasted", **known}
    exec(compile(ast.fix_missing_locations(code), str(block), "exec"), names)
    return names


class _Dots(ast.NodeTransformer):
    """Puts code in the place of three dots."""

    def __init__(self, code: str) -> None:
        self._code = code

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if ast.unparse(node.body[-1]) == "..." and self._code != "...":
            node.body = ast.parse(f"def get(self, request): {self._code}").body
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        return ast.parse(self._code).body if ast.unparse(node) == "..." else node


def _is_setting(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name):
            return bool(_SETTING.fullmatch(name))
        case ast.Subscript(value=value) | ast.Attribute(value=value) | ast.Call(func=value):
            return _is_setting(value)
        case ast.Tuple(elts=names):
            return all(map(_is_setting, names))
    return False


def _only_sets(node: ast.stmt) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(targets=[target]):
            return _is_setting(target)
        case ast.AugAssign(target=target) | ast.Expr(value=target):
            return _is_setting(target)
        case ast.If(body=body, orelse=orelse):
            return all(map(_only_sets, [*body, *orelse]))
    return False


def is_settings(block: Block) -> bool:
    """Whether an example does nothing but set, or change, what is in capital letters.

    Where three dots stand for a part of a list it is another router's, and no setting of ours.
    """
    code = ast.parse(block.text)
    is_whole = not any(isinstance(node, ast.Constant) and node.value is ... for node in ast.walk(code))
    is_more_than_imports = not all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in code.body)
    return is_whole and is_more_than_imports and all(map(_only_sets, code.body))


RULES: dict[str, Callable[[Block], bool]] = {
    "test_first_hour.py": lambda block: block.page in PASTED,
    "test_settings_on_pages.py": is_settings,
    "test_examples.py": lambda block: (
        block.page.startswith(COMING_FROM) and bool(MODULE.match(block.text)) and "# settings" not in block.text
    ),
}
"""Which kinds of examples does a module of this folder run together?"""


def all_settings() -> list[Block]:
    """Return each example of settings."""
    return [block for block in all_blocks("python") if is_settings(block)]
