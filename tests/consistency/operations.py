"""What did a client do, and what came back? One line of JSON for each operation; no Django here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A register that a client wrote or read.

    started, ended: monotonic seconds, which all processes of a machine share; value: written or read; sent, received:
    texts of tokens; site: the number of the web server; port, reason: which node served a read, and why; is_first: the
    read that follows a write's redirect; error: of what failed, in one line: whether a write was made is then unknown.
    """

    client: int
    register: int
    is_write: bool
    started: float
    ended: float
    site: int
    value: int | None = None
    sent: str | None = None
    received: str | None = None
    port: int | None = None
    reason: str | None = None
    is_first: bool = False
    error: str | None = None

    @property
    def is_own_read(self) -> bool:
        """Whether a client read what it alone writes."""
        return not self.is_write and self.error is None and self.client == self.register

    @property
    def is_acknowledged(self) -> bool:
        """Whether it is a write that was made for certain."""
        return self.is_write and self.error is None


def write_lines(operations: Iterable[Operation]) -> str:
    """Return a line for each operation."""
    return "".join(f"{json.dumps(asdict(operation))}\n" for operation in operations)


def read_lines(lines: Iterable[str]) -> Iterator[Operation]:
    """Return the operation of each line."""
    return (Operation(**json.loads(line)) for line in lines)
