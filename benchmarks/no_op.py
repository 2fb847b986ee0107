"""What does a middleware cost that does nothing? The reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware


@sync_and_async_middleware
def no_op(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Pass the request on, synchronous or not."""
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> Any:
            return await get_response(request)

    else:

        def middleware(request: HttpRequest) -> Any:
            return get_response(request)

    return middleware
