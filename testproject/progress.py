"""How does somebody who waits see how far a command is?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from django.core.management.base import OutputWrapper

Advance = Callable[[int], None]
T = TypeVar("T")


@contextmanager
def progress(stdout: OutputWrapper, what: str, total: int, *, silent: bool = False) -> Iterator[Advance]:
    """Show a bar with rich, lines without it or where nobody watches."""
    if silent:
        yield lambda _number: None
    elif (bar := _rich_bar()) and stdout.isatty():
        with bar:
            task = bar.add_task(what, total=total)
            yield lambda number: bar.advance(task, number)
    else:
        yield _line_by_line(stdout, what, total)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield up to `size` of them at a time."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _line_by_line(stdout: OutputWrapper, what: str, total: int) -> Advance:
    done = 0

    def advance(number: int) -> None:
        nonlocal done
        done += number
        stdout.write(f"{what}: {done} of {total}")

    return advance


def _rich_bar() -> Any:
    try:
        from rich.progress import Progress  # noqa: PLC0415  optional
    except ImportError:
        return None
    return Progress()
