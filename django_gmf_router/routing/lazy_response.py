"""How does a body that is made after its view or middleware returned stay routed?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

Scope = Callable[[], AbstractContextManager[None]]


class RoutedIterator:
    """A streamed body, each step of which runs in a scope; the scope is never left open between two steps."""

    def __init__(self, body: Iterator[Any], scope: Scope, on_end: Callable[[], None]) -> None:
        """Step through `body` inside `scope()`, and call `on_end` once it is exhausted, fails or is closed."""
        self._body = body
        self._scope = scope
        self.close = on_end

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            with self._scope():
                return next(self._body)
        except BaseException:
            self.close()
            raise


class RoutedAsyncIterator:
    """The same for an asynchronous body."""

    def __init__(self, body: AsyncIterator[Any], scope: Scope, on_end: Callable[[], None]) -> None:
        """Step through `body` inside `scope()`, and call `on_end` once it is exhausted, fails or is closed."""
        self._body = body
        self._scope = scope
        self.close = on_end

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            with self._scope():
                return await self._body.__anext__()
        except BaseException:
            # What is done at the end may ask a server or a cache: in the thread that wrote, not the event loop's.
            await sync_to_async(self.close)()
            raise


def stream_within(response: HttpResponseBase, scope: Scope, on_end: Callable[[], None]) -> bool:
    """Run the body of `response` in `scope`; return False if it is made already, or a file, sent without the ORM."""
    if not isinstance(response, StreamingHttpResponse) or getattr(response, "file_to_stream", None) is not None:
        return False
    body: Any = response.streaming_content
    if response.is_async:
        response.streaming_content = RoutedAsyncIterator(aiter(body), scope, on_end)
    else:
        response.streaming_content = RoutedIterator(iter(body), scope, on_end)
    return True


def keep_for_response(response: Any, block: AbstractContextManager[None]) -> Any:
    """Return `response`; if its body is made later, when it renders or streams, it is made inside `block`."""
    if isinstance(response, StreamingHttpResponse):
        stream_within(response, lambda: block, _nothing)
    elif callable(getattr(response, "render", None)) and not getattr(response, "is_rendered", True):
        _render_within(response, block)
    return response


def _render_within(response: Any, block: AbstractContextManager[None]) -> None:
    render = response.render

    def routed_render() -> Any:
        # Gone before rendering: post-render callbacks pickle the response, and a closure cannot be pickled.
        del response.render
        with block:
            return render()

    response.render = routed_render


def _nothing() -> None:
    """Leave the body alone at its end."""
