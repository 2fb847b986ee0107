"""Is the line that we advise one that matches the request, and as wide as its view?"""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import include, path, re_path, resolve, set_script_prefix

from django_gmf_router.routing.advice import master_line, pattern_for, quoted
from django_gmf_router.routing.unit_of_work import UnitOfWork

# Before Python 3.11 a flag may stand anywhere in a pattern.
NO_PATTERN = [("GET", "/SHOUT", r"(GET|HEAD) /SHOUT$")] if sys.version_info >= (3, 11) else []


def view(request: Any, **kwargs: Any) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("s/<slug:ref>", view),
    path("a.b/<int:pk>/", include([path("<x>/e(dit)", view)])),
    re_path(r"^old/(?P<ref>\w+)$", view),
    re_path(r"^(?i:any)/case$", view),
    re_path(r"(?i)shout$", view),
    re_path(r"page$", view),
    path("", view),
]


def unit_for(method: str, address: str) -> UnitOfWork:
    request = RequestFactory().generic(method, address)
    with override_settings(ROOT_URLCONF=__name__):
        try:
            request.resolver_match = resolve(request.path_info)
        except Exception:  # noqa: BLE001  any address may be unknown here
            request.resolver_match = None
    return UnitOfWork(request)


@pytest.mark.parametrize(
    ("method", "address", "expected"),
    [
        ("GET", "/s/abc", r"(GET|HEAD) /s/[-a-zA-Z0-9_]+$"),
        ("POST", "/s/abc", r"POST /s/[-a-zA-Z0-9_]+$"),
        ("GET", "/a.b/7/c/e(dit)", r"(GET|HEAD) /a\.b/[0-9]+/[^/]+/e\(dit\)$"),
        ("GET", "/old/x.y", r"(GET|HEAD) /old/x\.y$"),
        ("GET", "/old/x", r"(GET|HEAD) /old/(?P<ref>\w+)$"),
        ("GET", "/ANY/case", r"(GET|HEAD) /(?i:any)/case$"),
        *NO_PATTERN,
        # Django searches this route: it need not stand at the beginning.
        ("GET", "/my/page", r"(GET|HEAD) /my/page$"),
        ("GET", "/nowhere/1+1", r"(GET|HEAD) /nowhere/1\+1$"),
        ("HEAD", "/", r"(GET|HEAD) /$"),
    ],
)
def test_the_pattern_is_that_of_the_view_and_matches_the_request(method: str, address: str, expected: str) -> None:
    unit = unit_for(method, address)
    assert pattern_for(unit) == expected
    assert re.match(pattern_for(unit), f"{method} {unit.path}")


def test_the_script_prefix_belongs_to_the_pattern() -> None:
    set_script_prefix("/gis/")
    try:
        request = RequestFactory(SCRIPT_NAME="/gis").get("/s/abc")
        request.resolver_match = unit_for("GET", "/s/abc").request.resolver_match  # type: ignore[union-attr]
        assert pattern_for(UnitOfWork(request)) == r"(GET|HEAD) /gis/s/[-a-zA-Z0-9_]+$"
    finally:
        set_script_prefix("/")


def test_the_line_can_be_pasted_into_the_settings() -> None:
    line = master_line("default", unit_for("GET", "/s/abc"))
    assert line == r"""GMF_ROUTER['default']["DB_CHOOSER"]["master"]: r"(GET|HEAD) /s/[-a-zA-Z0-9_]+$" """.strip()
    for pattern in ("GET /\\d", 'GET /"', "GET /\\"):
        assert eval(quoted(pattern)) == pattern
