"""How does a test wait for what other processes and threads do?"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TypeVar

POLL_SECONDS = 0.01
TIMEOUT_SECONDS = 30.0  # of what takes no time: two noisy cores

T = TypeVar("T")


def until(
    holds: Callable[[], T], timeout_seconds: float = TIMEOUT_SECONDS, what: str | Callable[[], str] = "it comes to that"
) -> T:
    """Wait until it holds, and answer what it found; fails with `what` did not come true."""
    deadline = time.monotonic() + timeout_seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            message = what() if callable(what) else what
            raise AssertionError(f"not within {timeout_seconds:g} s: {message}")
        time.sleep(POLL_SECONDS)  # what is waited for tells nobody: this is the one poll
    return found


def listens(port: int) -> bool:
    """Return whether something on this machine takes connections on this port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
