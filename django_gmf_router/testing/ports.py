"""Which TCP ports of this machine are free for a local cluster?"""

from __future__ import annotations

import random
import socket
from itertools import islice
from pathlib import Path

from django_gmf_router.testing.errors import LocalClusterError, PortTakenError

HOST = "127.0.0.1"
LOWEST_PORT = 1024
HIGHEST_PORT = 65535
FIRST_PORT = 15000
ATTEMPTS = 200
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
DEFAULT_END = 32768


def free_ports(count: int, base_port: int | None = None) -> list[int]:
    """Return free ports: from `base_port` on, or any.

    Raises PortTakenError when one from `base_port` on is taken, LocalClusterError when none is free.
    """
    if base_port is not None:
        if not LOWEST_PORT <= base_port <= HIGHEST_PORT - count:
            raise LocalClusterError(f"port {base_port}: choose one from {LOWEST_PORT} to {HIGHEST_PORT - count}")
        return [require_free(port) for port in range(base_port, base_port + count)]
    first, end = FIRST_PORT, _first_ephemeral_port()
    # Not bind(0): that gives ports which outgoing connections use too, and while a node is killed any client
    # of the same machine could be given its port.
    candidates = random.sample(range(first, end), min(ATTEMPTS, end - first))
    free = list(islice(filter(is_free, candidates), count))
    if len(free) < count:
        raise LocalClusterError(f"no free port on {HOST} between {first} and {end - 1}: end some servers")
    return free


def require_free(port: int) -> int:
    """Return the port; raises PortTakenError when somebody listens there."""
    if not is_free(port):
        raise PortTakenError(f"port {port} is taken by another server: end it, or choose another port")
    return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As PostgreSQL does: connections that just ended do not keep a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _first_ephemeral_port() -> int:
    try:
        first = int(EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return DEFAULT_END
    return first if first > FIRST_PORT + ATTEMPTS else DEFAULT_END
