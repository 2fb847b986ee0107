"""Which sockets does this process hold to a node, and how is what hangs on one set free?

A frozen server answers TCP but not SQL: neither keepalive nor `tcp_user_timeout` sees it. Shutting the socket makes the
blocked call fail at once, in whichever thread it is.
"""

from __future__ import annotations

import math
import os
import select
import socket
import sys
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from typing import Any

from django_gmf_router.postgres import concurrency

# POLLRDHUP tells that the server has closed its side, even if its last words are still unread; Linux only.
_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR | select.POLLNVAL
# gevent puts a poll of its own in the place of Python's, which passes over POLLRDHUP; eventlet takes it away.
_GEVENT = sys.modules.get("gevent.monkey")
_POLL: Any = _GEVENT.get_original("select", "poll") if _GEVENT else getattr(select, "poll", None)


NEWEST = 256
"""So many times are remembered from one look at a node to the next."""


class Traffic:
    """The statements of this process on one node that count: those under way, and how long the last ones took.

    There is no lock: each step is one operation of a dictionary or deque.
    """

    __slots__ = ("took", "under_way")

    def __init__(self) -> None:
        """Begin with none."""
        self.under_way: dict[HeldSocket, float] = {}
        """By the socket that it waits on, when a statement began, in monotonic seconds."""
        self.took: deque[float] = deque(maxlen=NEWEST)
        """The seconds of those that were answered since they were taken last."""

    def take(self) -> list[float]:
        """Return the seconds of what was answered since the last time."""
        return [self.took.popleft() for _ in range(len(self.took))]

    def ages(self) -> list[float]:
        """Return how many seconds ago each statement that is under way began."""
        now = time.monotonic()
        return [now - began for began in list(self.under_way.values())]


class HeldSocket:
    """A duplicate of the descriptor of one connection, and whether what is under way there may be executed again.

    A duplicate is never given to another file while it is open: shutting it down cannot hit a descriptor that was
    closed and used again meanwhile.
    """

    __slots__ = ("_lock", "_repeatable", "_socket", "_took", "_under_way", "doubted", "node", "since", "streams")

    def __init__(self, node: str, connection: Any, traffic: Traffic) -> None:
        """Duplicate the descriptor of a driver's connection to `node`, whose statements are those of `traffic`."""
        self.node = node
        self._under_way, self._took = traffic.under_way, traffic.took
        self.since = time.monotonic()
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))
        # The monitor looks and shuts in one step: what begins in between may be a write.
        self._lock = threading.Lock()
        self._repeatable = False
        self.doubted = False
        """Whether its node was late since: it is asked whether that is over before the next statement."""
        self.streams = 0
        """How many server-side cursors are open: rows of theirs may have been delivered."""

    def begin(self) -> None:
        """Note that what begins now may be executed again elsewhere, if this connection fails."""
        self._repeatable = True

    def begin_statement(self) -> None:
        """Note that a statement begins, of which the same is true, and when."""
        self._repeatable = True
        self._under_way[self] = time.monotonic()

    def end(self) -> None:
        """Note that this is over: what comes next may not. How long a statement took is noted if it was answered."""
        with self._lock:
            self._repeatable = False
        began = self._under_way.pop(self, None)
        if began is not None:
            self._took.append(time.monotonic() - began)

    def leave_uncounted(self) -> None:
        """Take it that the time of what is under way says nothing of the node."""
        self._under_way.pop(self, None)

    def free(self) -> None:
        """Let what is under way fail at once, if it may be executed again; doubt the connection if not."""
        with self._lock:
            self.doubted = True
            if self._repeatable and not self.streams:
                self._shut()

    def shut(self) -> None:
        """Let whatever is under way fail at once."""
        with self._lock:
            self._shut()

    def close(self) -> None:
        """Give the descriptor back."""
        self.leave_uncounted()
        with self._lock:
            self._socket.close()

    def forget(self) -> None:
        """In a forked child, where the connection is the parent's: leave it alone."""
        self._lock = threading.Lock()
        self._socket.detach()

    def _shut(self) -> None:
        # What is cut is no answer.
        self.leave_uncounted()
        with suppress(OSError):  # The server or the driver was first.
            self._socket.shutdown(socket.SHUT_RDWR)


class NodeSockets:
    """The sockets of this process' connections, by node; each is held as long as the driver's connection object.

    There is no lock: each step is one operation of a dictionary or set, and the garbage collector, which any
    allocation may start, ends connections in the midst of others.
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._begin()
        concurrency.on_fork(self._forget)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._sockets: dict[str, set[HeldSocket]] = {}
        self._traffic: dict[str, Traffic] = {}
        self._known: weakref.WeakKeyDictionary[Any, HeldSocket] = weakref.WeakKeyDictionary()

    def hold(self, node: str, connection: Any) -> HeldSocket:
        """Hold the socket of a driver's connection to `node`; once, however often a pool hands the connection out."""
        # A server may fork without Python's hooks, as uWSGI does.
        if self._pid != os.getpid():
            concurrency.look_for_fork()
        held = self._known.get(connection)
        if held is None:
            held = self._known[connection] = HeldSocket(node, connection, self.traffic(node))
            self._sockets.setdefault(node, set()).add(held)
            # Not at exit: the descriptors end with the process, whose threads may still use them.
            weakref.finalize(connection, self.release, held).atexit = False
        return held

    def traffic(self, node: str) -> Traffic:
        """Return the statements of this process on a node."""
        # Two threads that come at once get the same one.
        return self._traffic.get(node) or self._traffic.setdefault(node, Traffic())

    def release(self, held: HeldSocket) -> None:
        """Hold a socket no longer: its connection was closed."""
        self._sockets.get(held.node, set()).discard(held)
        held.close()

    def free(self, node: str) -> None:
        """Free what hangs on `node` and may be executed again elsewhere: it is late, and may go on in a moment."""
        for held in list(self._sockets.get(node, ())):
            held.free()

    def shut(self, node: str, before: float = math.inf) -> None:
        """Free all that hangs on `node`, writes and transactions too: it was found dead.

        before: when it was asked, in monotonic seconds; what connected later is left.
        """
        for held in list(self._sockets.get(node, ())):
            if held.since < before:
                held.shut()

    def count(self, node: str | None = None) -> int:
        """Return how many sockets are held, to one node or to all."""
        return sum(len(held) for name, held in list(self._sockets.items()) if node in {name, None})

    def _forget(self) -> None:
        # After a fork the sockets are the parent's: shutting them here would end its connections.
        for sockets in self._sockets.values():
            for held in sockets:
                held.forget()
        self._begin()


def is_gone(connection: Any) -> bool:
    """Return whether the server has closed a driver's connection: one system call, no query."""
    try:
        poll = _POLL()
        poll.register(connection.fileno(), _GONE)
    except Exception:  # noqa: BLE001  each driver has its own error for a connection that is closed
        return True
    return bool(poll.poll(0))
