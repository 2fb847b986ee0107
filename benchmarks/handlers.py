"""Through which middlewares and views do the requests of the benchmarks go?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.test import override_settings

from benchmarks import peers, site

SETTINGS = {**site.SETTINGS, "ROOT_URLCONF": "benchmarks.views"}
VIEWS = {"no query": "none", "one decision": "one"}


def handlers(make: Callable[[], Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield the name of each contestant, the path it asks for, and its handler; one handler for each middleware."""
    for name, middleware in _middlewares().items():
        with override_settings(MIDDLEWARE=middleware):
            handler = make()
        router = "constant" if name in {"none", "no-op"} else name
        for view, segment in VIEWS.items():
            yield f"{view}, {name}", f"/{segment}/{router}", handler


def _middlewares() -> dict[str, list[str]]:
    named = {"none": [], "no-op": ["benchmarks.no_op.no_op"], "ours": [site.OUR_MIDDLEWARE]}
    return {**named, **{peer.name: [peer.middleware] for peer in peers.installed()}}


def expect_ok(status: int, path: str) -> None:
    """Raise unless the view was reached: the time of an error page is no figure."""
    if status != 200:  # noqa: PLR2004
        raise AssertionError(f"GET {path} answers {status}")
