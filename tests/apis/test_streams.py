"""Is each message of a consumer, each event of a stream, served by a replica that is good now, and by itself?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.db import connections
from django.http import HttpRequest
from django.test import AsyncClient, Client, override_settings
from django.test.utils import CaptureQueriesContext

from django_gmf_router import Decision, clusters
from django_gmf_router.replicas.health import State
from django_gmf_router.routing.unit_of_work import NOWHERE, current_place
from django_gmf_router.signals import role_decided
from tests.apis import consumers
from tests.books.models import Author

pytestmark = [
    pytest.mark.usefixtures("unmirrored", "streaming_site"),
    pytest.mark.django_db(databases="__all__", transaction=True),
]
REPLICAS = {"replica_1", "replica_2"}
LAYER = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


@pytest.fixture
def streaming_site(routed: Any) -> Iterator[None]:
    with routed(), override_settings(CHANNEL_LAYERS=LAYER):
        yield


def put_down(alias: str) -> None:
    monitor = clusters.registry().clusters[0].monitor
    monitor.report_failure(alias, "refused")
    assert monitor.health(alias).state == State.DOWN


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a site's event loop, whose tasks know nothing of the test's."""

    async def closing() -> Any:
        try:
            # A consumer that fails leaves who waits for it alone.
            return await asyncio.wait_for(main(), 30)
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(closing())


class Socket(ApplicationCommunicator):
    """The client's end; the one that Channels ships needs a web server of its own."""

    async def said(self, content: Any) -> Any:
        """Send a message and return the answer."""
        await self.send(content)
        return await self.heard()

    async def send(self, content: Any) -> None:
        """Send a message."""
        await self.send_input({"type": "websocket.receive", "text": json.dumps(content)})

    async def heard(self) -> Any:
        """Return the next message."""
        event = await self.receive_output(timeout=10)
        assert event["type"] == "websocket.send"
        return json.loads(event["text"])

    async def close(self) -> None:
        """End the connection."""
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(timeout=10)


async def connected(consumer: Any) -> Socket:
    socket = Socket(consumer.as_asgi(), {"type": "websocket", "path": "/"})
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(timeout=10))["type"] == "websocket.accept"
    return socket


@pytest.mark.parametrize("consumer", [consumers.Awaited, consumers.Plain])
def test_each_message_is_served_by_a_replica_that_is_good_now(consumer: Any) -> None:
    async def main() -> list[str]:
        client = await connected(consumer)
        served = []
        for _ in range(3):
            first, second, *outside = await client.said({})
            assert first == second
            assert outside == (["default outside_request"] * 2 if consumer is consumers.Awaited else [])
            served.append(first)
            if first.split()[0] in REPLICAS:
                put_down(first.split()[0])
        await client.close()
        return served

    served = run(main)
    assert {each.split()[0] for each in served[:2]} == REPLICAS
    assert [each.split()[1] for each in served] == ["unit_of_work", "unit_of_work", "no_replica"]


def test_over_many_messages_both_replicas_serve_one_connection() -> None:
    async def main() -> set[str]:
        client = await connected(consumers.Awaited)
        seen = set()
        for _ in range(30):
            seen.add((await client.said({}))[0].split()[0])
        await client.close()
        return seen

    assert run(main) == REPLICAS


def test_two_consumers_in_one_event_loop_know_nothing_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        names = ("one", "other")
        monkeypatch.setattr(consumers.Awaited, "held", {name: asyncio.Event() for name in names})
        monkeypatch.setattr(consumers.Awaited, "inside", {name: asyncio.Event() for name in names})
        clients = {name: await connected(consumers.Awaited) for name in names}
        bystander = await connected(consumers.Awaited)
        for name in names:
            await clients[name].send({"wait": name})
            await consumers.Awaited.inside[name].wait()
        # All three stand in the same event loop, two inside of their units of work.
        assert (await bystander.said({}))[2:] == ["default outside_request"] * 2
        assert current_place.get() is NOWHERE
        for name in reversed(names):
            consumers.Awaited.held[name].set()
            *inside, loop, thread = await clients[name].heard()
            assert len(inside) == 4
            assert len(set(inside)) == 1
            assert inside[0].split()[1] == "unit_of_work"
            assert [loop, thread] == ["default outside_request"] * 2
        for client in (*clients.values(), bystander):
            await client.close()

    run(main)


def test_the_consumer_of_the_page_reads_what_it_is_told_of() -> None:
    async def main() -> None:
        client = await connected(consumers.Places)  # type: ignore[attr-defined]
        assert await client.said({}) == {"count": 0}
        await sync_to_async(consumers.make_place)("Bern")  # type: ignore[attr-defined]
        assert await client.heard() == {"name": "Bern"}
        assert await client.said({}) == {"count": 1}
        await client.close()

    run(main)


def test_an_event_is_read_after_its_token() -> None:
    seen: list[Decision] = []

    def note(sender: str, decision: Decision, **kwargs: Any) -> None:
        seen.append(decision)

    async def main() -> Any:
        client = await connected(consumers.Places)  # type: ignore[attr-defined]
        role_decided.connect(note)
        await sync_to_async(consumers.make_place)("Bern")  # type: ignore[attr-defined]
        name = await client.heard()
        role_decided.disconnect(note)
        await client.close()
        return name

    assert run(main) == {"name": "Bern"}
    # SQLite has no positions: by the time no replica is sure to have it.
    assert [str(decision) for decision in seen] == ["default; reason=consistency"]


# Server-sent events, and the thread of the event loop


async def opened(client: AsyncClient) -> Any:
    response = await client.get("/events")
    return aiter(response.streaming_content)


def test_each_event_of_a_stream_is_served_by_a_replica_that_is_good_now() -> None:
    async def main() -> list[str]:
        stream, events = await opened(AsyncClient()), []
        async for event in stream:
            events.append(event.decode())
            alias = events[-1].split()[3]
            if alias in REPLICAS:
                put_down(alias)
        return events

    first, second, third = (event.split() for event in run(main))
    assert {first[3], second[3]} == REPLICAS
    assert [event[1:3] for event in (first, second, third)] == [
        ["replica", "unit_of_work"],
        ["replica", "unit_of_work"],
        ["primary", "no_replica"],
    ]


def test_two_streams_in_one_event_loop_know_nothing_of_each_other() -> None:
    async def main() -> None:
        streams = [await opened(AsyncClient()) for _ in range(2)]
        for _ in range(3):
            for stream in streams:
                event = (await anext(stream)).decode().split()
                # Inside its own unit of work, and then in its request, each as if it were alone.
                assert (event[1:3], event[4:6]) == (["replica", "unit_of_work"], ["replica", "read_method"])
                assert current_place.get() is NOWHERE
        for stream in streams:
            assert [part async for part in stream] == []

    run(main)


def test_the_stream_of_the_page_is_served_by_a_replica() -> None:
    Author.objects.create(name="Bern")

    async def main() -> bytes:
        response = await consumers.events(None)  # type: ignore[attr-defined]
        return bytes(await anext(aiter(response.streaming_content)))

    with CaptureQueriesContext(connections["default"]) as primary:
        assert run(main) == b"data: 1\n\n"
    assert primary.captured_queries == []


def by_user(request: HttpRequest) -> str | None:
    """Choose by who is logged in: a query."""
    return "primary" if request.user.is_authenticated else None


def test_a_chooser_that_asks_for_the_user_is_asked_where_that_is_possible(
    routed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client()
    client.force_login(User.objects.create(username="ada"))
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}

    async def main() -> tuple[str, str]:
        ada, nobody = AsyncClient(), AsyncClient()
        ada.cookies.load(cookies)
        return (await ada.get("/iterated")).content.decode(), (await nobody.get("/iterated")).content.decode()

    with routed(CHOOSER=f"{__name__}.by_user"):
        assert run(main) == ("primary chooser", "replica read_method")
    assert [record for record in caplog.records if record.name == "django_gmf_router"] == []
