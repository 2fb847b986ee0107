"""Is a streamed body stepped through inside its scope, and is its end told once?"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import FileResponse, HttpResponse, StreamingHttpResponse

from django_gmf_router.routing.lazy_response import stream_within, within
from django_gmf_router.routing.unit_of_work import UnitOfWork, current_place


class Watched:
    """A place that knows whether one stands there, and how often the body ended."""

    def __init__(self) -> None:
        self.unit = UnitOfWork()
        self.ends = 0
        self.end_thread = 0

    @property
    def inside(self) -> bool:
        return current_place.get().unit is self.unit

    def end(self) -> None:
        self.ends += 1
        self.end_thread = threading.get_ident()

    def wrap(self, response: Any) -> bool:
        return stream_within(response, within(self.unit), self.end)


def test_each_step_is_inside_and_nothing_between_the_steps() -> None:
    watched = Watched()
    response = StreamingHttpResponse(str(watched.inside) for _ in range(2))
    assert watched.wrap(response)
    steps = [(part, watched.inside, watched.ends) for part in response]
    assert steps == [(b"True", False, 0), (b"True", False, 0)]
    assert watched.ends == 1


def test_an_async_body_too() -> None:
    watched = Watched()

    async def body() -> Any:
        for _ in range(2):
            await asyncio.sleep(0)
            yield str(watched.inside)

    response = StreamingHttpResponse(body())
    assert watched.wrap(response)

    async def steps() -> list[tuple[bytes, bool]]:
        return [(part, watched.inside) async for part in response]

    assert asyncio.run(steps()) == [(b"True", False), (b"True", False)]
    # What is done at the end may wait for a server.
    assert watched.ends == 1
    assert watched.end_thread != threading.get_ident()
    assert watched.ends == 1


def test_a_body_that_fails_ends() -> None:
    watched = Watched()

    def body() -> Iterator[str]:
        yield "a"
        raise ZeroDivisionError

    response = StreamingHttpResponse(body())
    watched.wrap(response)
    with pytest.raises(ZeroDivisionError):
        list(response)
    assert watched.ends == 1


def test_a_client_that_goes_away_ends_the_body() -> None:
    watched = Watched()
    response = StreamingHttpResponse(iter(["a", "b"]))
    watched.wrap(response)
    assert next(iter(response)) == b"a"
    for close in response._resource_closers:  # what close() calls, without the signal that closes connections
        close()
    assert watched.ends == 1


def test_a_file_is_left_to_the_server_that_sends_it() -> None:
    watched = Watched()
    file = io.BytesIO(b"tile")
    response = FileResponse(file)
    assert not watched.wrap(response)
    assert response.file_to_stream is file
    file.close()


def test_a_body_that_is_made_already_is_left_alone() -> None:
    assert not Watched().wrap(HttpResponse(b"made"))
