"""How does a view wait in the middle of a request until the test has broken something?

The view connects to the test and says where it stands; the test does what it wants, and lets it go on.
"""

from __future__ import annotations

import json
import socket
from types import TracebackType
from typing import Any

TIMEOUT_SECONDS = 60.0


def stand(port: int, told: dict[str, Any]) -> None:
    """Tell the test at `port` of this machine something, and return when it says so. Called by views."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(json.dumps(told).encode() + b"\n")
        if connection.recv(1) != b"+":
            raise RuntimeError("The test went away.")


class Gate:
    """The test's side."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT_SECONDS)
        self.port: int = self._listener.getsockname()[1]
        self._waiting: socket.socket | None = None

    def wait(self) -> dict[str, Any]:
        """Return what the next view says that comes to the gate; it waits until `open`."""
        self._waiting, _ = self._listener.accept()
        with self._waiting.makefile() as lines:
            told: dict[str, Any] = json.loads(lines.readline())
        return told

    def open(self) -> None:
        """Let the view go on that waits."""
        assert self._waiting is not None
        self._waiting.sendall(b"+")
        self._waiting.close()
        self._waiting = None

    def __enter__(self) -> Gate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._waiting is not None:
            self._waiting.close()
        self._listener.close()
