"""Does the tutorial work, line by line, and do its commands print what it shows?"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django_gmf_router.testing import LocalClusterError, lifecycle
from django_gmf_router.testing.machine import free_ports
from tests.unit.docs.pages import ROOT, blocks

TUTORIAL = "docs/tutorial.md"
PORT = ":8001"
# The package is here already, and so is the environment.
NOT_HERE = ("CHECKOUT=", "mkdir ", "python3 -m venv", ". .venv/", "pip install ")
HEREDOC = "<< 'END'"
ENDED = re.compile(r"\n-- ended with (\d+)\n")
TIMEOUT_SECONDS = 300
WITH_A_DEAD_REPLICA = "python manage.py gmf_status"
VARIES = (
    (r"replica_[12](?=;)", "replica_N"),  # chosen at random
    (r"0/[0-9A-F]+", "POSITION"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "TIME"),
    (r" +", " "),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command, and the lines that the tutorial shows between it and the next one."""

    command: str
    shown: list[str]


def steps(console: str) -> Iterator[Step]:
    """Each command of a console block."""
    command: list[str] = []
    shown: list[str] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            if command:
                yield Step(command="\n".join(command), shown=shown)
            command, shown = [line.removeprefix("$ ")], []
        elif command[0].endswith(HEREDOC) and command[-1] != "END":
            command.append(line)
        else:
            shown.append(line)
    yield Step(command="\n".join(command), shown=shown)


def same(line: str) -> str:
    """The line without what differs from run to run."""
    for pattern, name in VARIES:
        line = re.sub(pattern, name, line)
    return line.strip()


def is_printed(shown: str, printed: list[str]) -> bool:
    """Whether a line was printed; of one that ends in three dots, its beginning."""
    begun = same(shown.removesuffix("..."))
    return any(line.startswith(begun) if shown.endswith("...") else line == begun for line in printed)


def run(script: str, home: Path) -> str:
    """Run a script of bash in a directory, end whatever it leaves, and return what it prints."""
    foreign = ("DJANGO_", "DATABASE_", "GMF_DB_CHOOSER_")
    outside = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=home,
        env={**outside, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        return shell.communicate(timeout=TIMEOUT_SECONDS)[0]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        with suppress(LocalClusterError):
            lifecycle.clear(home / ".gmf_cluster")


def test_the_tutorial_does_and_prints_what_it_says(tmp_path: Path) -> None:
    consoles = [[*steps(block.text)] for block in blocks(TUTORIAL, "console")]
    told = [[step for step in console if not step.command.startswith(NOT_HERE)] for console in consoles]
    commands = [step.command for console in told for step in console]
    script = "".join(f"{command}\nprintf '\\n-- ended with %s\\n' $?\n" for command in commands)
    (port,) = free_ports(1)
    output = run(script.replace(PORT, f":{port}"), tmp_path)
    # What each command printed, and its status, in turn; nothing comes after the last.
    *parts, rest = ENDED.split(output)
    printed, statuses = parts[0::2], parts[1::2]
    assert rest == ""
    ended = [command for command, status in zip(commands, statuses, strict=True) if status != "0"]
    assert ended == [WITH_A_DEAD_REPLICA], output
    outputs = iter(printed)
    for console in told:
        lines = [same(line) for _ in console for line in next(outputs).splitlines()]
        shown = [line for step in console for line in step.shown if line != "..."]
        assert [line for line in shown if not is_printed(line, lines)] == [], output
