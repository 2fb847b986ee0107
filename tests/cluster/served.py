"""What do the web servers run? The site, and around it a look at what a request left behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.db import connections

from django_gmf_router.routing.unit_of_work import NOWHERE, current_place

_wsgi = get_wsgi_application()
_asgi = get_asgi_application()


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve a request, and add headers.

    X-Left: whether the worker's context was as empty after it as before; X-Queries: how many statements each alias ran.
    """
    before = current_place.get() is NOWHERE
    for connection in connections.all():
        connection.force_debug_cursor = True

    def start(status: str, headers: list[tuple[str, str]], *args: Any) -> Any:
        left = before and current_place.get() is NOWHERE
        queries = {connection.alias: len(connection.queries_log) for connection in connections.all()}
        more = [("X-Left", "nothing" if left else "something"), ("X-Queries", json.dumps(queries))]
        return start_response(status, [*headers, *more], *args)

    return _wsgi(environ, start)


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve a request; the header X-Left says whether the task's context is empty."""
    before = current_place.get() is NOWHERE

    async def checked(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            left = before and current_place.get() is NOWHERE
            message["headers"] = [*message["headers"], (b"x-left", b"nothing" if left else b"something")]
        await send(message)

    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await _asgi(scope, receive, checked)
