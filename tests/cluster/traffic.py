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
            expect(editor.get(published["Location"]))


def expect(response: Any) -> None:
    """Raise for what is no page: an error is no traffic."""
    if response.status_code >= 400:
        raise AssertionError(f"{response.request['PATH_INFO']}: {response.status_code} {response.content[:300]!r}")


if __name__ == "__main__":
    django.setup()
    play = globals()[sys.argv[1]]
    counted: Counter[str] = Counter()
    with ExitStack() as stack:
        for name in connections:
            stack.enter_context(connections[name].execute_wrapper(counting(counted, name)))
        play()
    print(json.dumps(counted))
