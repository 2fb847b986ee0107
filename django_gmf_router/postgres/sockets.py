"""Which sockets does this process hold to a node, and how is a read that hangs on one set free?

A frozen server answers TCP but not SQL: neither keepalive nor `tcp_user_timeout` sees it. Shutting the socket makes the
blocked read fail at once, in whichever thread it is.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import weakref
from contextlib import suppress
from typing import Any

from django_gmf_router.postgres import forks

# POLLRDHUP tells that the server has closed its side, even if its last words are still unread; Linux only.
_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR | select.POLLNVAL


class NodeSockets:
    """Duplicates of the descriptors of connections, by node.

    A duplicate is never given to another file while it is open: shutting it down cannot hit a descriptor that was
    closed and used again meanwhile. It lives as long as the driver's connection object.
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._sockets: dict[str, set[socket.socket]] = {}
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        # Re-entered where the garbage collector, which any allocation may start, ends a connection meanwhile.
        self._lock = threading.RLock()
        forks.on_fork(self._forget)

    def hold(self, node: str, connection: Any) -> None:
        """Hold the socket of a driver's connection to `node`; once, however often a pool hands the connection out."""
        forks.look()
        with self._lock:
            if connection in self._known:
                return
            self._known.add(connection)
        duplicate = socket.socket(fileno=os.dup(connection.fileno()))
        with self._lock:
            self._sockets.setdefault(node, set()).add(duplicate)
        weakref.finalize(connection, self._release, node, duplicate).atexit = False

    def shut(self, node: str) -> None:
        """Shut the sockets of all connections to `node`."""
        with self._lock:
            held = list(self._sockets.get(node, ()))
            for duplicate in held:
                with suppress(OSError):  # The server or the driver was first.
                    duplicate.shutdown(socket.SHUT_RDWR)

    def count(self, node: str | None = None) -> int:
        """Return how many sockets are held, to one node or to all."""
        with self._lock:
            return sum(len(held) for name, held in self._sockets.items() if node in {name, None})

    def _release(self, node: str, duplicate: socket.socket) -> None:
        with self._lock:
            self._sockets.get(node, set()).discard(duplicate)
            duplicate.close()

    def _forget(self) -> None:
        # After a fork the sockets are the parent's: shutting them here would end its connections.
        self._lock = threading.RLock()
        for held in self._sockets.values():
            for duplicate in held:
                duplicate.detach()
        self._sockets = {}
        self._known = weakref.WeakSet()


def is_gone(connection: Any) -> bool:
    """Return whether the server has closed a driver's connection: one system call, no query."""
    try:
        poll = select.poll()
        poll.register(connection.fileno(), _GONE)
    except Exception:  # noqa: BLE001  each driver has its own error for a connection that is closed
        return True
    return bool(poll.poll(0))
