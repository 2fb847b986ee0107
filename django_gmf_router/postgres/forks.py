"""Has this process begun as the copy of another? That one's threads, locks and connections are not its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from weakref import WeakMethod


class _Process:
    """This process, and what begins anew in each one that is forked from it."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._beginnings: list[WeakMethod[Callable[[], None]]] = []
        # By process: the lock of the other may have been held when it forked, and nobody would give it back here.
        self._locks: dict[int, threading.Lock] = {}

    def on_fork(self, begin: Callable[[], None]) -> None:
        alive = [known for known in self._beginnings if known() is not None]
        self._beginnings = [*alive, WeakMethod(begin)]

    def look(self) -> None:
        if self._pid != os.getpid():
            self.begin()

    def begin(self) -> None:
        pid = os.getpid()
        with self._locks.setdefault(pid, threading.Lock()):
            if self._pid != pid:
                for known in self._beginnings:
                    if begin := known():
                        begin()
                self._pid = pid


_PROCESS = _Process()
on_fork = _PROCESS.on_fork
"""Call a method, as long as its object lives, in each process that is forked from this one."""
look = _PROCESS.look
"""Begin anew if this process was forked without Python's hooks: uWSGI forks in C and does not call them by itself."""
os.register_at_fork(after_in_child=_PROCESS.begin)
