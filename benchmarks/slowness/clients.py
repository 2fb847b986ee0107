"""What do the clients of a site get? Some that ask on and on, in a process of their own, and what they got."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from tests.chaos.load import TIMEOUT_SECONDS, Load
from tests.cluster.sites import ROOT

CLIENTS = 16


@dataclass(frozen=True, slots=True)
class Request:
    """One request: when it began (monotonic seconds), how long it took, what came back, from which servers."""

    began: float
    seconds: float
    status: int | None
    ports: Sequence[int]

    @property
    def ended(self) -> float:
        """When it was answered."""
        return self.began + self.seconds

    @property
    def is_failed(self) -> bool:
        """Whether it has no answer, or a bad one."""
        return self.status != HTTPStatus.OK


@contextmanager
def asking(url: str) -> Iterator[list[Request]]:
    """Let clients ask until the block ends; after it the list holds what they got."""
    requests: list[Request] = []
    command = [sys.executable, "-m", "benchmarks.slowness.clients", url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield requests
        finally:
            text, _ = process.communicate(timeout=2 * TIMEOUT_SECONDS)
    requests += [Request(*row) for row in json.loads(text)]


def main() -> None:
    """Ask until the standard input ends, then print what came back."""
    with Load(sys.argv[1], ["/"], clients=CLIENTS, pause_seconds=0) as load:
        sys.stdin.read()
    json.dump(
        [(answer.began, answer.seconds, answer.status, answer.body.get("ports", [])) for answer in load.answers],
        sys.stdout,
    )


if __name__ == "__main__":
    main()
