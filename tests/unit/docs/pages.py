"""What do the pages say? Their text, their code blocks and their tables."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_RULE = re.compile(r"^\| (\d+\w?) \|.*\| ([^|]+) \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced code block and where it stands."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def names() -> list[str]:
    """Every page a reader sees, as a path below the repository."""
    documents = (ROOT / "docs").rglob("*.md")
    top = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "SUPPORT", "CODE_OF_CONDUCT")]
    pages = [*top, *(page for page in documents if "_build" not in page.parts)]
    return sorted(str(page.relative_to(ROOT)) for page in pages)


@lru_cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[Block]:
    text = text_of(page)
    return [
        Block(page=page, line=text.count("\n", 0, found.start()) + 1, language=language, text=found["text"])
        for found in _FENCE.finditer(text)
        if found["language"] == language
    ]


def all_blocks(language: str) -> list[Block]:
    return [block for page in names() for block in blocks(page, language)]


def commands_of(console: Block) -> list[list[str]]:
    """The commands of a console, each in words."""
    text = console.text.replace("\\\n", " ")
    lines = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    # What stands in its input, and a quote that goes on in the next line, are no words of this line.
    return [shlex.split(line, comments=True) for line in lines if "<<" not in line and line.count("'") % 2 == 0]


def arguments_of(command: list[str]) -> list[str]:
    """What a command gives to manage.py, without what the shell does with its output; nothing for any other."""
    arguments = command[command.index("manage.py") + 1 :] if "manage.py" in command else []
    return [*takewhile(lambda word: word not in {">", "|", "&"}, arguments)]


def prose(page: str) -> str:
    """The page without its code blocks, in one line: where it is wrapped says nothing."""
    return " ".join(_FENCE.sub("", text_of(page)).split())


def rules(page: str) -> list[tuple[str, list[str]]]:
    """The rows of the table of rules: the number, and the reasons in the last column."""
    return [(number, re.findall(r"`(\w+)`", reasons)) for number, reasons in _RULE.findall(text_of(page))]


def headings(page: str, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.+)$", _FENCE.sub("", text_of(page)), re.MULTILINE)


def section(page: str, heading: str) -> str:
    """The text under a heading, up to the next one of its level or above."""
    marks = heading.partition(" ")[0]
    _, _, rest = text_of(page).partition(f"\n{heading}\n")
    return re.split(rf"^#{{1,{len(marks)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, row by row, without its head."""
    lines = section(page, heading).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = takewhile(lambda line: line.startswith("|"), lines[first + 1 :])
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
