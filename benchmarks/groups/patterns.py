"""What do the patterns of DB_CHOOSER cost a request? GeoMapFish has about ten of them.

The patterns are tried when a request first asks the router, so the view asks once. Each list of patterns belongs to a
cluster of its own, and each cluster to an app of Django's: all are measured in one process, under one GMF_ROUTER.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.db import router
from django.http import HttpRequest
from django.test import RequestFactory

from benchmarks import site
from benchmarks.contestants import Contestant, calling
from django_gmf_router import current_decision
from django_gmf_router.middleware import RoutingMiddleware

SIZES = (0, 20)
_words = random.Random(1)
WORDS = ["".join(_words.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(max(SIZES))]

# By shape: the key of DB_CHOOSER, the pattern of number n, the method, a path that matches pattern n.
SHAPES: dict[str, tuple[str, Callable[[int], str], str, Callable[[int], str]]] = {
    "sections": ("master", lambda n: rf"GET /section{n}/.*", "GET", lambda n: f"/section{n}/map"),
    "layers": ("slave", lambda n: rf"\w+ /layer{n}/(?P<id>\d+)$", "POST", lambda n: f"/layer{n}/1234"),
    "words": ("master", lambda n: rf"(GET|HEAD) /{WORDS[n]}/\d+", "GET", lambda n: f"/{WORDS[n]}/5"),
}
# One model for each shape and size, of apps that need no other.
MODELS = dict(
    zip(
        [(shape, size) for shape in SHAPES for size in SIZES],
        [
            "auth.Group",
            "contenttypes.ContentType",
            "sessions.Session",
            "sites.Site",
            "redirects.Redirect",
            "admin.LogEntry",
        ],
        strict=True,
    )
)


def _app(shape: str, size: int) -> str:
    return MODELS[shape, size].partition(".")[0]


def _cluster(shape: str, size: int) -> dict[str, Any]:
    key, pattern, *_ = SHAPES[shape]
    return {
        "REPLICAS": [f"{_app(shape, size)}_replica"],
        "APPS": [_app(shape, size)],
        "PRIMARY_MODELS": [],
        "DB_CHOOSER": {key: [pattern(number) for number in range(size)]},
    }


SETTINGS = {
    **site.SETTINGS,
    "INSTALLED_APPS": [*(f"django.contrib.{_app(*key)}" for key in MODELS), "django_gmf_router"],
    "DATABASES": {
        "default": site.MEMORY,
        **{_app(*key): site.MEMORY for key in MODELS},
        **{f"{_app(*key)}_replica": site.MEMORY for key in MODELS},
    },
    "GMF_ROUTER": {_app(*key): _cluster(*key) for key in MODELS},
}


def measure(take: Callable[[list[Contestant]], Any]) -> None:
    """Measure all lists of patterns, with a path that matches none and with one that matches the last."""
    take([contestant for shape, size in MODELS for contestant in _contestants(shape, size)])


def _contestants(shape: str, size: int) -> Iterator[Contestant]:
    key, _, method, path = SHAPES[shape]
    matched = f"{key}_override"
    unmatched = "read_method" if method == "GET" else "write_method"
    matches = [("none matches", "/places", unmatched)]
    if size:
        # Against the first: a pattern that matches sends the request elsewhere, which costs what it costs there.
        matches += [("the first matches", path(0), matched), ("the last matches", path(size - 1), matched)]
    for match, where, reason in matches:
        request = RequestFactory().generic(method, where)
        _check(shape, size, request, reason)
        middleware = RoutingMiddleware(_asking(shape, size))
        yield calling(f"{size} {shape}, {match}", "middleware(request)", middleware=middleware, request=request)


def _asking(shape: str, size: int) -> Callable[[HttpRequest], Any]:
    from django.http import HttpResponse  # noqa: PLC0415

    model, ask, response = apps.get_model(MODELS[shape, size]), router.db_for_read, HttpResponse()

    def view(_request: HttpRequest) -> HttpResponse:
        ask(model)
        return response

    return view


def _check(shape: str, size: int, request: HttpRequest, reason: str) -> None:
    """Raise unless the decision is the one whose cost is to be measured."""
    ask, seen = _asking(shape, size), []

    def view(request: HttpRequest) -> Any:
        response = ask(request)
        seen.append(current_decision())
        return response

    RoutingMiddleware(view)(request)
    (decided,) = seen
    if decided is None or decided.reason != reason:
        raise AssertionError(f"{request.method} {request.path} with {size} {shape}: {decided}, not {reason}")
