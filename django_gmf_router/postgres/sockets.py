"""Which sockets does this process hold to a node, and how is what hangs on one set free?

A frozen server answers TCP but not SQL: neither keepalive nor `tcp_user_timeout` sees it. Shutting the socket makes the
blocked call fail at once, in whichever thread it is.
"""

from __future__ import annotations

import math
import os
import select
import socket
import threading
import time
import weakref
from contextlib import suppress
from typing import Any

from django_gmf_router.postgres import forks

# POLLRDHUP tells that the server has closed its side, even if its last words are still unread; Linux only.
_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR | select.POLLNVAL


class HeldSocket:
    """A duplicate of the descriptor of one connection, and whether what is under way there may be executed again.

    A duplicate is never given to another file while it is open: shutting it down cannot hit a descriptor that was
    closed and used again meanwhile.
    """

    __slots__ = ("_lock", "_repeatable", "_socket", "doubted", "node", "since", "streams")

    def __init__(self, node: str, connection: Any) -> None:
        """Duplicate the descriptor of a driver's connection to `node`."""
        self.node = node
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

    def end(self) -> None:
        """Note that this is over: what comes next may not."""
        with self._lock:
            self._repeatable = False

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
        with self._lock:
            self._socket.close()

    def forget(self) -> None:
        """In a forked child, where the connection is the parent's: leave it alone."""
        self._lock = threading.Lock()
        self._socket.detach()

    def _shut(self) -> None:
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
        forks.on_fork(self._forget)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._sockets: dict[str, set[HeldSocket]] = {}
        self._known: weakref.WeakKeyDictionary[Any, HeldSocket] = weakref.WeakKeyDictionary()

    def hold(self, node: str, connection: Any) -> HeldSocket:
        """Hold the socket of a driver's connection to `node`; once, however often a pool hands the connection out."""
        if self._pid != os.getpid():
            forks.look()
        held = self._known.get(connection)
        if held is None:
            held = self._known[connection] = HeldSocket(node, connection)
            self._sockets.setdefault(node, set()).add(held)
            weakref.finalize(connection, self.release, held).atexit = False
        return held

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
        poll = select.poll()
        poll.register(connection.fileno(), _GONE)
    except Exception:  # noqa: BLE001  each driver has its own error for a connection that is closed
        return True
    return bool(poll.poll(0))
