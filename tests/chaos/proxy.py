"""What if the wire between a web server and a database server fails? A proxy that does so when told to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

from django_gmf_router.testing.machine import HOST, free_ports

CHUNK_BYTES = 65536
# Close by RST, not by FIN: socket(7), SO_LINGER.
LINGER_NONE = struct.pack("ii", 1, 0)
# A client's first words, and the answers: manual, "SSL Session Encryption".
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class Proxy:
    """Listens on `port` and passes everything on to the server at `target`, in a thread of its own.

    Over TCP; with `tls` as a server that speaks TLS; with `directory` on the Unix socket that libpq looks for there.
    Each method changes how it behaves from then on, for connections that are open and for new ones.
    """

    def __init__(
        self,
        target: int,
        *,
        host: str = HOST,
        port: int | None = None,
        tls: ssl.SSLContext | None = None,
        directory: Path | None = None,
    ) -> None:
        # No ephemeral one: while it refuses nobody else shall be given it.
        self.port = port or free_ports(1)[0]
        self.host = host
        self._target = target
        self._tls = tls
        self._path = directory and directory / f".s.PGSQL.{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._flows = asyncio.Event()
        self._delay_seconds = 0.0
        self._resets = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    # How it behaves

    def pass_on(self) -> None:
        """Be a good wire; what was held back goes on."""
        self._await(self._set(flows=True))

    def reset(self) -> None:
        """Return RST on all connections, and on each new one."""
        self._await(self._set(flows=True, resets=True))
        self._await(self._abort_all())

    def cut(self) -> None:
        """Return RST on all connections that are open now; new ones are served."""
        self._await(self._abort_all())

    def black_hole(self) -> None:
        """Accept connections and bytes, and pass nothing on."""
        self._await(self._set(flows=False))

    def slow(self, seconds: float) -> None:
        """Pass on each answer so many seconds late."""
        self._await(self._set(flows=True, delay_seconds=seconds))

    def refuse(self) -> None:
        """Do not listen, and reset what is open, as a machine does whose server died."""
        self._await(self._unlisten())
        self._await(self._abort_all())

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.pass_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._await(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # In its thread

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _set(self, *, flows: bool, delay_seconds: float = 0.0, resets: bool = False) -> None:
        self._delay_seconds = delay_seconds
        self._resets = resets
        if flows:
            self._flows.set()
        else:
            self._flows.clear()
        if self._server is None:
            self._server = await self._listen()

    async def _listen(self) -> asyncio.Server:
        if self._path is not None:
            return await asyncio.start_unix_server(self._serve, self._path, backlog=512)
        return await asyncio.start_server(self._serve, self.host, self.port, backlog=512)

    async def _unlisten(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        for listener in server.sockets:
            self._loop.remove_reader(listener.fileno())
        # What was accepted already needs a turn to find its server open, and another one to be served by it.
        for _ in range(3):
            await asyncio.sleep(0)
        server.close()

    async def _abort_all(self) -> None:
        for writer in list(self._writers):
            _abort(writer)

    async def _end(self) -> None:
        await self._unlisten()
        await self._abort_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ours = {writer}
        self._writers.add(writer)
        try:
            if self._resets:
                _abort(writer)
                return
            await self._flows.wait()
            await self._negotiate(reader, writer)
            there, back = await asyncio.open_connection(HOST, self._target)
            ours.add(back)
            self._writers.add(back)
            await self._both(self._pump(reader, back), self._pump(there, writer, answers=True))
        except (OSError, EOFError, asyncio.CancelledError):
            return
        finally:
            for each in ours:
                each.close()
            self._writers -= ours
            self._tasks.discard(task)

    async def _negotiate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._tls is None:
            return
        # A request for encryption by GSSAPI may come first.
        while await reader.readexactly(len(SSL_REQUEST)) != SSL_REQUEST:
            writer.write(b"N")
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(self._tls)

    async def _both(self, *pumps: Coroutine[Any, Any, None]) -> None:
        tasks = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool = False) -> None:
        while chunk := await source.read(CHUNK_BYTES):
            if answers and self._delay_seconds:
                await asyncio.sleep(self._delay_seconds)  # the wire's own delay
            await self._flows.wait()
            target.write(chunk)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()


def _abort(writer: asyncio.StreamWriter) -> None:
    opened: socket.socket | None = writer.get_extra_info("socket")
    if opened is not None and opened.fileno() >= 0 and opened.family == socket.AF_INET:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    writer.transport.abort()
