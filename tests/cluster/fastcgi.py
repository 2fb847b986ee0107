"""How does a test ask a FastCGI program without a web server? (FastCGI specification 1.0)"""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
RESPONDER = struct.pack("!HB5x", 1, 0)
HEADER = struct.Struct("!BBHHBx")
TIMEOUT_SECONDS = 20


@contextmanager
def serving(program: str, env: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Run a program, one process, until the block ends; answer its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen([program], stdin=listener.fileno(), env=env)
        try:
            yield listener.getsockname()
        finally:
            # In accept() libfcgi only notes a SIGTERM.
            process.kill()
            process.wait()


def ask(address: tuple[str, int], params: Mapping[str, str]) -> tuple[str, bytes]:
    """Send a GET request; answer its headers and body."""
    pairs = b"".join(_pair(key.encode(), value.encode()) for key, value in {"REQUEST_METHOD": "GET", **params}.items())
    with socket.create_connection(address, TIMEOUT_SECONDS) as connection:
        connection.sendall(
            _record(BEGIN, RESPONDER) + _record(PARAMS, pairs) + _record(PARAMS, b"") + _record(STDIN, b"")
        )
        output = b"".join(body for kind, body in _records(connection) if kind == STDOUT)
    head, _, body = output.partition(b"\r\n\r\n")
    return head.decode(), body


def _record(kind: int, body: bytes) -> bytes:
    return HEADER.pack(1, kind, 1, len(body), 0) + body


def _pair(key: bytes, value: bytes) -> bytes:
    return struct.pack("!II", len(key) | 1 << 31, len(value) | 1 << 31) + key + value


def _records(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    with connection.makefile("rb") as stream:
        kind = 0
        while kind != END:
            _, kind, _, length, padding = HEADER.unpack(stream.read(HEADER.size))
            yield kind, stream.read(length)
            stream.read(padding)
