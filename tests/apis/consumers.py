"""Which consumers do the tests of Channels talk to? The page's, and those that say where they read."""

from __future__ import annotations

import asyncio
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from django.db import router

from django_gmf_router import current_decision, unit_of_work
from tests.books.models import Author
from tests.unit.docs.running import example

PAGE = "docs/how-to/channels-and-streams.md"
Place = Author
for block in (example(PAGE, "# office/consumers.py"), example(PAGE, "# office/streams.py")):
    exec(compile(block.text, str(block), "exec"))


def seen() -> str:
    """Ask where is read, and return the alias and the reason."""
    alias, decision = router.db_for_read(Author), current_decision()
    return f"{alias} {decision.reason if decision else 'outside_request'}"


class Awaited(AsyncJsonWebsocketConsumer):
    """Says where it reads, in the event loop and in a worker thread, inside its unit of work and outside."""

    held: dict[str, asyncio.Event] = {}
    """What a message waits for inside its unit of work, by its name."""
    inside: dict[str, asyncio.Event] = {}
    """Set once it is there."""

    async def receive_json(self, content: dict[str, Any], **kwargs: Any) -> None:
        """Look inside a unit of work, wait there if the message says so, and look outside."""
        with unit_of_work():
            looks = [seen(), await database_sync_to_async(seen)()]
            if name := content.get("wait"):
                self.inside[name].set()
                await self.held[name].wait()
                looks += [seen(), await database_sync_to_async(seen)()]
        await self.send_json([*looks, seen(), await database_sync_to_async(seen)()])


class Plain(JsonWebsocketConsumer):
    """A synchronous one, which is run in a worker thread."""

    @unit_of_work()
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Look."""
        self.send_json([seen(), seen()])
