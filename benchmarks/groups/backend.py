"""What does the backend cost around a statement that does not fail? With a cursor that does nothing, on no server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils.module_loading import import_string

from benchmarks import site
from benchmarks.contestants import Contestant, calling

ENGINE = {"NAME": "nowhere", "HOST": "127.0.0.1", "PORT": "1"}
OURS = {**ENGINE, "ENGINE": "django_gmf_router.backends.postgresql"}
SETTINGS = {
    **site.SETTINGS,
    "DATABASES": {
        "default": OURS,
        "replica_1": OURS,
        "replica_2": OURS,
        "stock": {**ENGINE, "ENGINE": "django.db.backends.postgresql"},
    },
}
READ = 'SELECT "places"."id", "places"."name" FROM "places" WHERE "places"."id" = %s'


class NoCursor:
    """A driver's cursor that does nothing."""

    def execute(self, sql: str, params: Any = None) -> None:
        """Do nothing."""


def measure(take: Callable[[list[Contestant]], Any]) -> None:
    """Measure all contestants inside one GET request through our middleware."""

    def view(_request: HttpRequest) -> HttpResponse:
        take(list(_contestants()))
        return HttpResponse()

    import_string(site.OUR_MIDDLEWARE)(view)(RequestFactory().get("/places"))


def _contestants() -> Iterator[Contestant]:
    from django.db import connections  # noqa: PLC0415  settings first

    from django_gmf_router.backends.cursors import guard_connection  # noqa: PLC0415
    from django_gmf_router.postgres.sockets import NodeSockets  # noqa: PLC0415

    sockets, ends = NodeSockets(), socket.socketpair()

    for name, alias in (("stock", "stock"), ("a replica's", "replica_1"), ("the primary's", "default")):
        wrapper: Any = connections[alias]
        if alias != "stock":
            guard_connection(wrapper)
            wrapper.held = sockets.hold(alias, ends[0])
        names = {"make": wrapper.make_cursor, "inner": NoCursor(), "sql": READ, "params": (1,)}
        yield calling(name, "make(inner).execute(sql, params)", **names)
