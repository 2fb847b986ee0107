"""What does a middleware add to a request through Django's ASGI handler?

A whole ASGI request hops to a thread twice (signals, `response.close()`), which takes far longer and varies far more
than any middleware. So its rows are for information, and `chain` measures what awaits: all from the outermost
middleware to the view, through the handler's `get_response_async`. A group, and so a process, of its own: Python
specialises the code of a middleware for the one type of request that it sees.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from django.core.handlers.asgi import ASGIHandler, ASGIRequest

from benchmarks import handlers, site
from benchmarks.contestants import Contestant

SETTINGS = handlers.SETTINGS


def measure(take: Callable[[list[Contestant]], Any]) -> None:
    """Measure every middleware with every view, in one event loop."""
    site.open_primary()
    loop = asyncio.new_event_loop()
    try:
        take(list(_contestants(loop)))
    finally:
        loop.close()


def _contestants(loop: asyncio.AbstractEventLoop) -> Iterator[Contestant]:
    for name, path, handler in handlers.handlers(ASGIHandler):
        yield Contestant(name=f"chain, {name}", run=_chain(loop, handler, f"/a{path}"))
        if name.startswith("no query"):
            yield Contestant(name=f"whole, {name}", run=_whole(loop, handler, f"/a{path}"))


def _whole(loop: asyncio.AbstractEventLoop, handler: ASGIHandler, path: str) -> Callable[[int], float]:
    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            handlers.expect_ok(message["status"], path)

    async def run(loops: int) -> float:
        started = time.perf_counter()
        for _ in range(loops):
            await handler(_scope(path), _receive(), send)
        return time.perf_counter() - started

    return lambda loops: loop.run_until_complete(run(loops))


def _chain(loop: asyncio.AbstractEventLoop, handler: ASGIHandler, path: str) -> Callable[[int], float]:
    async def run(loops: int) -> float:
        started = time.perf_counter()
        for _ in range(loops):
            response = await handler.get_response_async(ASGIRequest(_scope(path), io.BytesIO()))
            handlers.expect_ok(response.status_code, path)
        return time.perf_counter() - started

    return lambda loops: loop.run_until_complete(run(loops))


def _scope(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "scheme": "http",
        "headers": [(b"host", b"testserver")],
    }


def _receive() -> Callable[[], Awaitable[dict[str, Any]]]:
    """Return what a client sends: an empty body, and then nothing more."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else await asyncio.get_running_loop().create_future()

    return receive
