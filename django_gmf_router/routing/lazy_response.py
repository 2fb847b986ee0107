"""How does a body that is made after its view or middleware returned stay routed?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar, cast

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from django_gmf_router.routing.unit_of_work import NOWHERE, Place, UnitOfWork, current_place, place

Response = TypeVar("Response")


class Standpoint:
    """Where a body stands that is made step by step: each step begins where the last one ended.

    The blocks that the body opens last as long as its own `with`, and nothing of them is seen between two steps.
    """

    def __init__(self, begin: Callable[[], Place]) -> None:
        """Take what returns the place of the first step."""
        self._begin: Callable[[], Place] | None = begin
        self._place: Place = NOWHERE
        self._outer: Place = NOWHERE

    def __enter__(self) -> None:
        if self._begin is not None:
            self._place, self._begin = self._begin(), None
        self._outer = current_place.get()
        current_place.set(self._place)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._place = current_place.get()
        current_place.set(self._outer)


def within(unit: UnitOfWork) -> Standpoint:
    """Return a standpoint in `unit`, inside the blocks that are open where it is first entered."""
    return Standpoint(lambda: place(unit, current_place.get().blocks))


class RoutedIterator:
    """A streamed body, each step of which is made where the last one ended; between two steps nothing is left open."""

    def __init__(self, body: Iterator[object], inside: Standpoint, on_end: Callable[[], None]) -> None:
        """Step through `body`, and call `on_end` once it is exhausted, fails or is closed."""
        self._body = body
        self._inside = inside
        self.close = on_end

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        try:
            with self._inside:
                return next(self._body)
        except BaseException:
            self.close()
            raise


class RoutedAsyncIterator:
    """The same for an asynchronous body."""

    def __init__(self, body: AsyncIterator[object], inside: Standpoint, on_end: Callable[[], None]) -> None:
        """Step through `body`, and call `on_end` once it is exhausted, fails or is closed."""
        self._body = body
        self._inside = inside
        self.close = on_end

    def __aiter__(self) -> AsyncIterator[object]:
        return self

    async def __anext__(self) -> object:
        try:
            with self._inside:
                return await self._body.__anext__()
        except BaseException:
            # What is done at the end may ask a server or a cache: in the thread that wrote, not the event loop's.
            await sync_to_async(self.close)()
            raise


def stream_within(response: HttpResponseBase, inside: Standpoint, on_end: Callable[[], None]) -> bool:
    """Make the body of `response` inside; return False if it is made already, or a file, sent without the ORM."""
    if not isinstance(response, StreamingHttpResponse) or getattr(response, "file_to_stream", None) is not None:
        return False
    # What comes out is bytes already: Django makes them of what the view gave it.
    body: object = response.streaming_content
    if response.is_async:
        routed: object = RoutedAsyncIterator(aiter(cast("AsyncIterator[object]", body)), inside, on_end)
    else:
        routed = RoutedIterator(iter(cast("Iterator[object]", body)), inside, on_end)
    response.streaming_content = routed  # type: ignore[assignment]
    return True


def keep_for_response(response: Response, opened: Callable[[], Place]) -> Response:
    """Return `response`; if its body is made later, when it renders or streams, it is made at the place `opened`."""
    if isinstance(response, StreamingHttpResponse):
        stream_within(response, Standpoint(opened), lambda: None)
    elif callable(getattr(response, "render", None)) and not getattr(response, "is_rendered", True):
        _render_within(response, Standpoint(opened))
    return response


def _render_within(response: Any, inside: Standpoint) -> None:
    render = response.render

    def routed_render() -> object:
        # Gone before rendering: post-render callbacks pickle the response, and a closure cannot be pickled. That of
        # another block around it may have gone first.
        vars(response).pop("render", None)
        with inside:
            return render()

    response.render = routed_render
