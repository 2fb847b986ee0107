"""What do the web servers run? The site, and around it a look at what a request left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from django_gmf_router.routing.unit_of_work import NOWHERE, current_place

_wsgi = get_wsgi_application()
_asgi = get_asgi_application()


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve a request; the header X-Left says whether the worker's context was as empty after it as before."""
    before = current_place.get() is NOWHERE

    def start(status: str, headers: list[tuple[str, str]], *args: Any) -> Any:
        left = before and current_place.get() is NOWHERE
        return start_response(status, [*headers, ("X-Left", "nothing" if left else "something")], *args)

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
