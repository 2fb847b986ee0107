"""Do use_primary() and use_replica() nest, end where they end, and keep to their task and thread?"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.db import router
from django.http import HttpResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.views import View

from django_gmf_router import current_decision, use_primary, use_replica
from django_gmf_router.routing.lazy_response import stream_within, within
from django_gmf_router.routing.unit_of_work import NOWHERE, current_place
from tests.books.models import Book
from tests.conftest import OpenUnit

pytestmark = pytest.mark.usefixtures("unmirrored")


def reason() -> str:
    router.db_for_read(Book)
    decision = current_decision()
    return decision.reason if decision else "outside_request"


def test_blocks_nest_and_the_innermost_wins(open_request: OpenUnit) -> None:
    with open_request():
        seen = [reason()]
        with use_primary():
            seen.append(reason())
            with use_replica():
                seen.append(reason())
                with use_primary():
                    seen.append(reason())
                seen.append(reason())
            seen.append(reason())
        seen.append(reason())
    assert seen == [
        "read_method", "use_primary", "use_replica", "use_primary", "use_replica", "use_primary", "read_method",
    ]  # fmt: skip


def test_a_block_ends_with_an_exception(open_request: OpenUnit) -> None:
    with open_request():
        with pytest.raises(ZeroDivisionError), use_primary():
            raise ZeroDivisionError
        assert reason() == "read_method"


def test_one_block_object_may_be_entered_again_and_by_many_threads(open_request: OpenUnit) -> None:
    block = use_primary()
    with open_request():
        with block, block:
            assert reason() == "use_primary"
        assert reason() == "read_method"

    barrier = threading.Barrier(4)
    seen = []

    @block
    def work() -> None:
        barrier.wait()
        with use_replica():
            seen.append(reason())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["use_replica"] * 4


def test_blocks_of_the_tasks_of_a_gather_are_their_own(open_request: OpenUnit) -> None:
    async def task(block: Any, entered: asyncio.Event, others: list[asyncio.Event]) -> tuple[str, str]:
        with block():
            entered.set()
            for other in others:
                await other.wait()
            inside = reason()
        return inside, reason()

    async def main() -> list[tuple[str, str]]:
        entered = [asyncio.Event() for _ in range(10)]
        blocks = (use_primary, use_replica) * 5
        return await asyncio.gather(*(task(block, own, entered) for block, own in zip(blocks, entered, strict=True)))

    with open_request():
        assert asyncio.run(main()) == [("use_primary", "read_method"), ("use_replica", "read_method")] * 5


def test_a_generator_that_is_suspended_inside_a_block_ends_its_own_block_only(open_request: OpenUnit) -> None:
    def generator() -> Iterator[None]:
        with use_primary():
            yield

    def run() -> None:
        with open_request():
            suspended = generator()
            next(suspended)
            with use_replica():
                suspended.close()
                assert reason() == "use_replica"
            assert reason() == "read_method"

    contextvars.copy_context().run(run)


def test_a_decorated_function_reads_there(open_request: OpenUnit) -> None:
    @use_primary()
    def called() -> str:
        """Documented."""
        return reason()

    @use_replica
    def bare() -> str:
        return reason()

    @use_primary
    def bare_too() -> str:
        return reason()

    with open_request("GET", "/"):
        assert (called(), reason(), called.__doc__) == ("use_primary", "read_method", "Documented.")
        assert (bare_too(), reason()) == ("use_primary", "read_method")
    with open_request("POST", "/"):
        assert bare() == "use_replica"


def test_a_decorated_coroutine_function_reads_there(open_request: OpenUnit) -> None:
    @use_primary()
    async def view() -> str:
        await asyncio.sleep(0)
        return reason()

    assert iscoroutinefunction(view)
    with open_request():
        assert asyncio.run(view()) == "use_primary"
        assert reason() == "read_method"


def test_a_decorated_function_gets_all_that_it_is_called_with() -> None:
    @use_primary()
    def plain(*args: object, **kwargs: object) -> object:
        return args, kwargs

    @use_primary()
    async def coroutine(*args: object, **kwargs: object) -> object:
        return args, kwargs

    @use_primary()
    def generator(*args: object, **kwargs: object) -> Generator[object, None, None]:
        yield args, kwargs

    @use_primary()
    async def async_generator(*args: object, **kwargs: object) -> AsyncGenerator[object, None]:
        yield args, kwargs

    calls = (plain, lambda *a, **k: asyncio.run(coroutine(*a, **k)), lambda *a, **k: next(generator(*a, **k)))
    for call in (*calls, lambda *a, **k: asyncio.run(anext(async_generator(*a, **k)))):  # type: ignore[no-untyped-call]
        assert call(1, 2, crs=3) == ((1, 2), {"crs": 3})


class Answer(View):
    def get(self, request: Any) -> HttpResponse:
        return HttpResponse(reason())


class AsyncAnswer(View):
    async def get(self, request: Any) -> HttpResponse:
        await asyncio.sleep(0)
        return HttpResponse(reason())


def test_a_class_based_view_is_decorated_through_method_decorator(open_request: OpenUnit, rf: Any) -> None:
    decorated = method_decorator(use_primary(), name="dispatch")(type("Decorated", (Answer,), {}))
    with open_request():
        assert decorated.as_view()(rf.get("/")).content == b"use_primary"
        assert reason() == "read_method"


def test_the_coroutine_of_an_async_class_based_view_runs_in_the_block(open_request: OpenUnit, rf: Any) -> None:
    decorated = method_decorator(use_primary(), name="dispatch")(type("Decorated", (AsyncAnswer,), {}))
    with open_request():
        response = asyncio.run(decorated.as_view()(rf.get("/")))
        assert response.content == b"use_primary"
        assert reason() == "read_method"


def lazy(request: Any) -> TemplateResponse:
    return TemplateResponse(request, engines["django"].from_string("{{ reason }}"), {"reason": reason})


def test_a_decorated_view_keeps_its_choice_while_its_template_response_renders(open_request: OpenUnit, rf: Any) -> None:
    import pickle

    with open_request():
        response = use_primary()(lazy)(rf.get("/"))
        pickled: list[bytes] = []
        response.add_post_render_callback(lambda rendered: pickled.append(pickle.dumps(rendered)))
        assert response.render().content == b"use_primary"
        assert pickle.loads(pickled[0]).content == b"use_primary"
        assert reason() == "read_method"


def test_a_decorated_async_view_keeps_its_choice_while_its_template_response_renders(
    open_request: OpenUnit, rf: Any
) -> None:
    async def view(request: Any) -> TemplateResponse:
        return lazy(request)

    with open_request():
        response = asyncio.run(use_primary()(view)(rf.get("/")))
        assert response.render().content == b"use_primary"


def test_a_decorated_view_keeps_its_choice_while_its_body_streams(open_request: OpenUnit, rf: Any) -> None:
    @use_primary()
    def view(request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(f"{reason()} " for _ in range(2))

    with open_request():
        body = iter(view(rf.get("/")))
        assert next(body) == b"use_primary "
        assert reason() == "read_method"
        assert list(body) == [b"use_primary "]


def test_a_decorated_view_keeps_its_choice_while_its_async_body_streams(open_request: OpenUnit, rf: Any) -> None:
    async def body() -> Any:
        yield reason()

    @use_primary()
    def view(request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(body())

    async def read_all() -> list[bytes]:
        return [part async for part in view(rf.get("/"))]

    with open_request():
        assert asyncio.run(read_all()) == [b"use_primary"]


def test_a_block_that_was_opened_in_another_context_ends_without_a_trace(open_request: OpenUnit) -> None:
    # As the event loop does with a generator that nobody has closed: it closes it in a context of its own.
    def body() -> Iterator[str]:
        with use_primary():
            yield reason()

    with open_request(), use_replica():
        generator = body()
        assert contextvars.copy_context().run(next, generator) == "use_primary"
        generator.close()
        assert reason() == "use_replica"


def test_blocks_outside_requests_share_a_replica() -> None:
    for _ in range(20):
        with use_replica():
            alias = router.db_for_read(Book)
            with use_replica():
                assert router.db_for_read(Book) == alias


def test_nothing_is_left_when_the_last_block_ends() -> None:
    with use_primary(), use_replica():
        pass
    assert current_place.get() is NOWHERE


# Bodies that are made step by step


def test_a_block_that_a_body_opens_lasts_as_long_as_its_with(open_request: OpenUnit) -> None:
    def body() -> Iterator[str]:
        yield reason()
        with use_primary():
            for _ in range(3):
                yield reason()
        yield reason()

    with open_request() as unit:
        response = StreamingHttpResponse(body())
        assert stream_within(response, within(unit), lambda: None)
        steps = [(part, current_place.get().blocks) for part in response]
    expected = [b"read_method", *[b"use_primary"] * 3, b"read_method"]
    assert steps == [(part, ()) for part in expected]


def test_a_block_that_an_async_body_opens_lasts_as_long_as_its_with(open_request: OpenUnit) -> None:
    async def body() -> Any:
        with use_primary():
            for _ in range(3):
                await asyncio.sleep(0)
                yield reason()
        yield reason()

    async def read_all(unit: Any) -> list[bytes]:
        response = StreamingHttpResponse(body())
        assert stream_within(response, within(unit), lambda: None)
        return [part async for part in response]

    with open_request() as unit:
        assert asyncio.run(read_all(unit)) == [*[b"use_primary"] * 3, b"read_method"]


def test_a_decorated_body_may_open_blocks_of_its_own(open_request: OpenUnit, rf: Any) -> None:
    def body() -> Iterator[str]:
        with use_replica():
            yield reason()
            yield reason()
        yield reason()

    @use_primary()
    def view(request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(body())

    with open_request():
        assert list(view(rf.get("/"))) == [b"use_replica", b"use_replica", b"use_primary"]


def test_a_decorated_generator_function_reads_there_and_its_caller_does_not(open_request: OpenUnit) -> None:
    @use_primary()
    def rows(first: str) -> Generator[str, str, str]:
        sent = yield f"{first} {reason()}"
        try:
            yield f"{sent} {reason()}"
        except ZeroDivisionError:
            yield f"caught {reason()}"
        return reason()

    def whole() -> Generator[str, str, None]:
        ended = yield from rows("one")
        yield f"ended {ended}"

    with open_request():
        generator = whole()
        seen = [next(generator), reason(), generator.send("two"), generator.throw(ZeroDivisionError), next(generator)]
    assert seen == ["one use_primary", "read_method", "two use_primary", "caught use_primary", "ended use_primary"]


def test_a_decorated_generator_that_is_broken_off_is_closed_there(open_request: OpenUnit) -> None:
    seen: list[str] = []

    @use_primary()
    def rows() -> Iterator[int]:
        try:
            yield 1
        finally:
            seen.append(reason())

    with open_request():
        generator = rows()
        next(generator)
        generator.close()  # type: ignore[attr-defined]
        assert (seen, reason()) == (["use_primary"], "read_method")


def test_a_decorated_async_generator_function_reads_there_and_its_caller_does_not(open_request: OpenUnit) -> None:
    @use_primary()
    async def rows() -> AsyncGenerator[str, str]:
        sent = yield reason()
        await asyncio.sleep(0)
        try:
            yield f"{sent} {reason()}"
        except ZeroDivisionError:
            yield f"caught {reason()}"

    async def main() -> list[str]:
        generator = rows()
        seen = [await generator.__anext__(), reason(), await generator.asend("two")]
        seen.append(await generator.athrow(ZeroDivisionError))
        await generator.aclose()
        return [*seen, reason()]

    with open_request():
        found = asyncio.run(main())
    assert found == ["use_primary", "read_method", "two use_primary", "caught use_primary", "read_method"]


def test_an_async_generator_that_is_broken_off_inside_a_block_does_not_leave_it_open(open_request: OpenUnit) -> None:
    async def rows(closed: asyncio.Event) -> AsyncGenerator[int, None]:
        try:
            with use_primary():
                yield 1
                yield 2
        finally:
            closed.set()

    async def main() -> tuple[str, str]:
        closed = asyncio.Event()
        async for _ in rows(closed):
            inside = reason()
            break
        # The event loop closes the generator, in a task of its own.
        await closed.wait()
        return inside, reason()

    with open_request():
        assert asyncio.run(main()) == ("use_primary", "read_method")


def test_a_function_that_returns_a_task_returns_that_task() -> None:
    async def work() -> int:
        return 1

    @use_primary()
    def begin() -> asyncio.Task[int]:
        return asyncio.create_task(work())

    async def main() -> int:
        task = begin()
        assert isinstance(task, asyncio.Task)
        return await task

    assert asyncio.run(main()) == 1
