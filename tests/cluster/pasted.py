"""What do the functions of the pages read on real servers? A process of the site has them, and calls what it is told.

A line of its input is a method and the name of a function; it prints as JSON what that returned in such a request.
"""

from __future__ import annotations

import json
import sys
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

from django.core.cache import cache
from django.db import close_old_connections, connections, models, transaction
from django.db.utils import Error
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from django_gmf_router import clusters, current_decision, use_primary
from django_gmf_router.middleware import RoutingMiddleware
from tests.books.models import Author, Book, Tag, Tile
from tests.unit.docs.running import run_example

HABITS = "docs/explanation/what-to-know-before.md"
PYTHON = "docs/reference/python.md"
TITLE = "pasted"
SENT: SimpleQueue[tuple[int, Any]] = SimpleQueue()
"""What was sent to a worker: the key of a row, and the token that goes with it."""


class Counter(Tile):
    """A row that counts."""

    class Meta:
        proxy = True
        app_label = "library"

    @property
    def number(self) -> int:
        """How far it has counted."""
        return int(self.name)


class Invitation(models.Model):
    """Whom a link invites; the test makes its table."""

    key = models.CharField(max_length=50, primary_key=True)
    used = models.BooleanField()

    class Meta:
        managed = False
        app_label = "library"
        db_table = "invitation"


def alias() -> str | None:
    decision = current_decision()
    return None if decision is None else decision.alias


def looked(found: bool) -> list[Any]:
    """Return whether a row was found, and where."""
    return [found, alias()]


def titles() -> list[str]:
    return list(Book.objects.values_list("title", flat=True))


# The examples

from_primary = run_example(HABITS, "cache.get_or_set", Book=Book)
by_token = run_example(HABITS, "def forget_titles", Book=Book)
in_schema_of = run_example(HABITS, "set_config('search_path'")["in_schema_of"]
next_number = run_example(HABITS, "pg_advisory_xact_lock", Counter=Counter)["next_number"]
by_queue = run_example(
    "docs/explanation/what-a-reader-may-rely-on.md",
    "def work(pk, token)",
    dots="return looked(Book.objects.filter(pk=pk).exists())",
    looked=looked,
    Book=Book,
)


class Order(Book):
    """What is ordered: whoever looks it up notes where."""

    class Meta:
        proxy = True
        app_label = "library"


with_token = run_example(PYTHON, "def send_invoice", Order=Order)
with_token["send_invoice"].delay = lambda *sent: SENT.put(sent)
by_link = run_example(PYTHON, "def by_link", Invitation=Invitation)["by_link"]
nightly = run_example(
    "docs/how-to/jobs.md",
    "def nightly",
    dots="return looked(Book.objects.filter(title='pasted').exists())",
    looked=looked,
    Book=Book,
)["nightly"]
article = run_example(
    "docs/how-to/maintenance.md",
    "def article",
    count_the_hit=lambda slug: Author.objects.create(name=slug),
    render_the_article=lambda slug: [slug, alias() or looked(Book.objects.exists())[1]],
)["article"]


# What a test asks for


def publish(save: Any) -> None:
    with transaction.atomic():
        save(Book(title=TITLE))


def cached_titles() -> bool:
    from_primary["titles"](HttpRequest())
    return TITLE in cache.get("titles")


def titles_by_token() -> list[Any]:
    return looked(TITLE in by_token["make_titles"]())


def tags_of_the_tenant() -> list[str]:
    return in_schema_of(SimpleNamespace(schema="tenant"), lambda: list(Tag.objects.values_list("name", flat=True)))


def send_invoice() -> list[Any]:
    """Run what a worker would: it raises where the order is not there."""
    with_token["send_invoice"](*SENT.get_nowait())
    return looked(True)


def count_on() -> None:
    Counter.objects.update(name="6")


def close_all() -> list[bool]:
    """Say of each alias whether it is connected, before and after the example."""
    with use_primary():
        titles()
    before = connections["default"].connection is not None
    run_example("docs/reference/web-servers.md", "connections.close_all()")
    return [before, any(connection.connection for connection in connections.all())]


def ready() -> bool:
    """Let the monitor begin; return whether each node is up and each replica known to follow the primary."""
    # Where something was written between two answers, a replica that is up is known to follow a round or two later.
    titles()
    (cluster,) = clusters.registry().clusters
    return all(
        health.state == "up" and (alias == cluster.config.primary or health.follows is not None)
        for alias, health in cluster.monitor.snapshot.items()
    )


CALLS = {
    "ready": ready,
    "titles": lambda: looked(TITLE in titles()),
    "forget": cache.clear,
    "cached titles": cached_titles,
    "publish": lambda: publish(by_token["publish"]),
    "titles by token": titles_by_token,
    "tags of the tenant": tags_of_the_tenant,
    "count on": count_on,
    "number": lambda: Counter.objects.get().number,
    "next number": next_number,
    "save": lambda: publish(lambda order: by_queue["save"](order, SENT)),
    "work": lambda: by_queue["work"](*SENT.get_nowait()),
    "place": lambda: with_token["place"](HttpRequest()),
    "send invoice": send_invoice,
    "invite": lambda: Invitation.objects.create(key="k", used=False).key,
    "invited": lambda: Invitation.objects.filter(key="k").exists(),
    "by link": lambda: by_link("k")._state.db,
    "nightly": nightly,
    "article": lambda: article(HttpRequest(), "bern"),
    "close all": close_all,
    "forbidden": lambda: Author.objects.filter(name="nobody").update(name="nobody"),
}


def call(line: str) -> Any:
    """Call a function in a request."""
    method, _, name = line.partition(" ")
    found: list[Any] = []

    def get_response(request: HttpRequest) -> HttpResponse:
        try:
            found.append(CALLS[name]())
        except (Error, Invitation.DoesNotExist, Order.DoesNotExist) as error:
            found.append(type(error).__name__)
        return HttpResponse()

    close_old_connections()
    RoutingMiddleware(get_response)(RequestFactory().generic(method, "/"))
    return found[0]


def serve() -> None:
    """Answer each line until there are no more."""
    for line in sys.stdin:
        print(json.dumps(call(line.strip())), flush=True)
