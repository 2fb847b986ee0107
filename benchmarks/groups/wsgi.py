"""What does a middleware add to a whole request through Django's WSGI handler?"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

from django.core.handlers.wsgi import WSGIHandler

from benchmarks import handlers, site
from benchmarks.contestants import Contestant

SETTINGS = handlers.SETTINGS


def measure(take: Callable[[list[Contestant]], Any]) -> None:
    """Measure every middleware with every view."""
    site.open_primary()
    take([Contestant(name=name, run=_wsgi(handler, path)) for name, path, handler in handlers.handlers(WSGIHandler)])


def _wsgi(handler: WSGIHandler, path: str) -> Callable[[int], float]:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }

    def request() -> None:
        response = handler(dict(environ), _no_start)
        handlers.expect_ok(response.status_code, path)
        response.close()

    def run(loops: int) -> float:
        started = time.perf_counter()
        for _ in range(loops):
            request()
        return time.perf_counter() - started

    return run


def _no_start(_status: str, _headers: list[tuple[str, str]]) -> None:
    """Take the status and the headers, as a WSGI server does."""
