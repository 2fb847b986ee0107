"""Does a test run each Python example of each page? Whoever adds one that no test runs is told its page and line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT, Block, all_blocks
from tests.unit.docs.running import RULES, example, examples

TAKES = {"example", "examples", "run_example"}


def _text_of(node: ast.expr, constants: dict[str, str]) -> str:
    """Return the text that an argument is: a literal, or a constant of its module."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name) if name in constants:
            return constants[name]
    raise AssertionError(f"{ast.unparse(node)}: say the page and the words literally, they are looked for here")


def takes(path: Path) -> Iterator[list[Block]]:
    """Yield the examples that each call in a module of tests takes from a page to run them."""
    code = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        str(node.targets[0].id): str(node.value.value)
        for node in code.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(code):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[page, words]) if name in TAKES:
                found = examples if name == "examples" else lambda *args: [example(*args)]
                yield found(_text_of(page, constants), _text_of(words, constants))


def taken() -> set[Block]:
    """Return every example that a module of tests takes by its page and words."""
    here = {Path(__file__), Path(__file__).with_name("running.py")}
    modules = (path for path in (ROOT / "tests").rglob("*.py") if path not in here)
    return {block for path in modules for found in takes(path) for block in found}


def test_a_test_runs_each_example_of_each_page() -> None:
    ran = taken()
    ruled = {block for block in all_blocks("python") if any(rule(block) for rule in RULES.values())}
    left = [str(block) for block in all_blocks("python") if block not in ran | ruled]
    assert left == [], "no test runs these: take them by `run_example()`, see tests/unit/docs/running.py"


@pytest.mark.parametrize("module", RULES)
def test_a_rule_is_for_examples_that_there_are(module: str) -> None:
    assert Path(__file__).with_name(module).exists()
    assert any(map(RULES[module], all_blocks("python")))


def test_words_that_no_example_of_the_page_has_are_an_error(tmp_path: Path) -> None:
    """So is an example that was taken, and is gone; and one that is taken by what is not read here."""
    (module := tmp_path / "test_it.py").write_text('run_example("README.md", "def nobody")')
    with pytest.raises(AssertionError, match="has no Python example with 'def nobody'"):
        list(takes(module))
    module.write_text("run_example(page, words())")
    with pytest.raises(AssertionError, match="say the page and the words literally"):
        list(takes(module))
    module.write_text('PAGE = "README.md"\nrun_example(PAGE, "def who")')
    assert [list(found) for found in takes(module)] == [examples("README.md", "def who")]
