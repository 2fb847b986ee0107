"""How does a test talk to a script that keeps running? A line is written to it, and it answers one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tests.cluster.sites import ROOT

END_SECONDS = 10
Ask = Callable[[str], str]


@contextmanager
def script(code: str, env: Mapping[str, str]) -> Iterator[Ask]:
    """Run Python's `code` until the block ends; it reads lines until there are no more, and has to end well then."""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, env=env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(line: str) -> str:
            stdin.write(f"{line}\n")
            stdin.flush()
            return stdout.readline().rstrip("\n")

        try:
            yield ask
        finally:
            stdin.close()
            code_of_exit = process.wait(END_SECONDS)
    assert code_of_exit == 0
