"""How does a test wait for what other processes do?"""

from __future__ import annotations

import time
from collections.abc import Callable

POLL_SECONDS = 0.01


def until(holds: Callable[[], object], timeout_seconds: float, what: str | Callable[[], str]) -> float:
    """Wait until it holds, and answer after how many seconds; fails with `what` did not come true."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > timeout_seconds:
            message = what() if callable(what) else what
            raise AssertionError(f"not within {timeout_seconds:g} s: {message}")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began
