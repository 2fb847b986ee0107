"""What does a day of a site look like? `python -m tests.cluster.traffic SITE` counts who answered its reads."""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import django
from django.db import connections
from django.utils.timezone import now

from django_gmf_router import clusters
from tests.waiting import until

PAGES = 200
FIRST_PAGE = 100
_QUERY = re.compile(r"\s*\(?\s*(SELECT|WITH|VALUES|TABLE)\b")
_OF_THE_PACKAGE = re.compile(r"\bpg_\w+_lsn\b")


def counting(reads: Counter[str], alias: str) -> Callable[..., Any]:
    """Return a wrapper of statements that counts the reads of an alias, but for the package's own."""

    def wrapper(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        if _QUERY.match(str(sql)) and not _OF_THE_PACKAGE.search(str(sql)):
            reads[alias] += 1
        return execute(sql, params, many, context)

    return wrapper


def prepare_testproject() -> None:
    """Make what the pages of the demo site show."""
    from django.contrib.auth.models import User

    from testproject.places.factories import PlaceFactory, ShortLinkFactory

    User.objects.create_superuser("chief", password="chief")
    PlaceFactory.create_batch(30)
    ShortLinkFactory.create(ref="fountains")


def testproject() -> None:
    """Ask for pages as visitors, editors and administrators do, the same ones each time."""
    from django.test import Client

    dice = random.Random(4)
    visitor, editor, admin = Client(), Client(), Client()
    expect(admin.post("/admin/login/?next=/admin/", {"username": "chief", "password": "chief"}))
    pause()
    for number in range(PAGES):
        kind = dice.random()
        if kind < 0.5:
            expect(visitor.get("/places", {"bbox": "5,45,11,48"}))
            expect(visitor.get("/places/count"))
        elif kind < 0.65:
            expect(visitor.post("/places/search", {"text": "a"}))
        elif kind < 0.75:
            expect(visitor.get("/s/fountains"))
        elif kind < 0.85:
            place = {"name": f"Brunnen {number}", "category": "fountain", "lon": "8.5", "lat": "47.4"}
            expect(editor.post("/places", place))
            pause()
            expect(editor.get("/places"))
        else:
            expect(admin.get("/admin/places/place/"))
            expect(admin.get("/admin/"))


def prepare_wagtail() -> None:
    """Make what a small site of Wagtail shows: ten pages below the first one."""
    from django.contrib.auth.models import User
    from home.models import HomePage

    User.objects.create_superuser("chief", password="chief")
    (home,) = HomePage.objects.all()
    for number in range(10):
        home.add_child(instance=HomePage(pk=FIRST_PAGE + number, title=f"Page {number}", slug=f"page-{number}"))


def wagtail() -> None:
    """Ask for pages as visitors do, and look at them and publish them as editors do, the same ones each time."""
    from django.test import Client

    dice = random.Random(4)
    visitor, editor = Client(), Client()
    expect(editor.post("/admin/login/", {"username": "chief", "password": "chief"}))
    pause()
    for number in range(PAGES // 2):
        kind = dice.random()
        if kind < 0.6:
            expect(visitor.get("/"))
            expect(visitor.get(f"/page-{dice.randrange(10)}/"))
        elif kind < 0.7:
            expect(visitor.get("/search/", {"query": "page"}))
        elif kind < 0.85:
            expect(editor.get("/admin/"))
            expect(editor.get("/admin/pages/"))
        else:
            which = dice.randrange(10)
            expect(editor.get(f"/admin/pages/{FIRST_PAGE + which}/edit/"))
            comments = {f"comments-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS")}
            page = {"title": f"Edited {number}", "slug": f"page-{which}", "action-publish": "1", **comments}
            published = editor.post(f"/admin/pages/{FIRST_PAGE + which}/edit/", page)
            # A form with a mistake would be shown again.
            assert published.status_code == 302, published.content
            pause()
            expect(editor.get(published["Location"]))


def expect(response: Any) -> None:
    """Raise for what is no page: an error is no traffic."""
    if response.status_code >= 400:
        raise AssertionError(f"{response.request['PATH_INFO']}: {response.status_code} {response.content[:300]!r}")


def pause() -> None:
    """Wait as people do between two pages: replicas that are well have what was written by then."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_flush_lsn()")
        (position,) = cursor.fetchone()
    for name in set(connections) - {"default"}:
        until(lambda: has_replayed(name, position))  # noqa: B023  it is over within this step


def has_replayed(name: str, position: str) -> bool:
    with connections[name].cursor() as cursor:
        cursor.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [position])
        (has,) = cursor.fetchone()
    return bool(has)


def settle() -> None:
    """Wait until this process knows which replicas follow its primary, as one does that serves for a while."""
    monitor = clusters.registry().clusters[0].monitor
    if len(connections.settings) == 1:
        return
    monitor.ensure()

    def is_known() -> bool:
        # A replica follows once it was seen to come to where the primary was later.
        User.objects.update(last_login=now())
        return all(monitor.snapshot[name].follows is not None for name in set(connections) - {"default"})

    until(is_known)
    pause()


if __name__ == "__main__":
    django.setup()
    from django.contrib.auth.models import User

    play = globals()[sys.argv[1]]
    if not sys.argv[1].startswith("prepare_"):
        settle()
    counted: Counter[str] = Counter()
    with ExitStack() as stack:
        for name in connections:
            stack.enter_context(connections[name].execute_wrapper(counting(counted, name)))
        play()
    print(json.dumps(counted))
