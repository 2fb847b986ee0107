"""Is this process the copy of another one, and are its threads real?

The threads, locks and connections of the process that it was forked from are not its own. Under gevent and eventlet the
threads of a process are green: one runs at a time, and has to give way where it waits. A driver that does not stops the
health monitor with everything else while a server hangs.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakMethod

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

_INSTEAD = "Serve the site with threads, as gunicorn's gthread does, or with gevent and psycopg 3."
_TOO_LATE = (
    "gevent patched this process after psycopg was imported, which blocks it therefore. Patch it first: with gunicorn "
    "leave out --preload, or let gunicorn.conf.py begin with gevent.monkey.patch_all()."
)


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
look_for_fork = _PROCESS.look
"""Begin anew if this process was forked without Python's hooks: uWSGI forks in C and does not call them by itself."""
os.register_at_fork(after_in_child=_PROCESS.begin)


def green_threads() -> str | None:
    """Return what makes the threads of this process green, "gevent" or "eventlet"; None where they are real."""
    # Whoever patched has imported these; nothing is imported here.
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("select"):
        return "gevent"
    return "eventlet" if eventlet is not None and eventlet.is_monkey_patched("select") else None


def refuse_blocking(alias: str) -> None:
    """Raise ImproperlyConfigured, with the remedy, where the driver of `alias` blocks the green threads.

    psycopg 3 gives way to gevent if gevent patched first, and to nothing else (its documentation, "Concurrent
    operations"). psycopg2 does with psycogreen, but then without a connect time-out.
    """
    maker = green_threads()
    if maker is None:
        return
    wrapper: Any = connections.create_connection(alias)
    driver = wrapper.Database.__name__
    if driver not in {"psycopg", "psycopg2"}:
        return
    if maker == "eventlet":
        raise ImproperlyConfigured(f"eventlet is not supported: {driver} blocks it. {_INSTEAD}")
    if driver == "psycopg2":
        raise ImproperlyConfigured(f"psycopg2 blocks gevent while a server hangs, with psycogreen too. {_INSTEAD}")
    waiting = sys.modules["psycopg.waiting"]
    if waiting.wait is getattr(waiting, "wait_c", None):
        raise ImproperlyConfigured(_TOO_LATE)
