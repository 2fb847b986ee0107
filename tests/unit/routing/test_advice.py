"""Is the line that we advise one that matches the request, and as wide as its view?"""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import ResolverMatch, include, path, re_path, resolve, set_script_prefix

from django_gmf_router.routing.advice import pattern_for, quoted, remedy
from django_gmf_router.routing.unit_of_work import UnitOfWork
from django_gmf_router.settings.values import parse

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


class Cms:
    """Wagtail's pages, and flat pages."""

    urlpatterns = [re_path(r"^((?:[\w\-]+/)*)$", view), path("<path:url>", view)]


def unit_for(method: str, address: str, urlconf: Any = __name__) -> UnitOfWork:
    request = RequestFactory().generic(method, address)
    with override_settings(ROOT_URLCONF=urlconf):
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


DEFAULT = parse("default", {})
LINK = r"(GET|HEAD) /s/[-a-zA-Z0-9_]+$"


def pasted(advice: str, **entry: Any) -> dict[str, Any]:
    """What GMF_ROUTER says of the cluster once the line of the advice stands below it."""
    settings: dict[str, Any] = {"GMF_ROUTER": {"default": {"REPLICAS": ["replica_1"], **entry}}}
    exec(advice[advice.index("GMF_ROUTER") :], settings)
    entry: dict[str, Any] = settings["GMF_ROUTER"]["default"]
    assert parse("default", entry)
    return entry


@pytest.mark.parametrize(
    "before", [{}, {"DB_CHOOSER": {"slave": ["POST /x"]}}, {"DB_CHOOSER": {"master": ["GET /y"]}}], ids=str
)
def test_the_line_can_be_pasted_into_the_settings(before: dict[str, Any]) -> None:
    advice = remedy(DEFAULT, unit_for("GET", "/s/abc"))
    assert pasted(advice, **before)["DB_CHOOSER"]["master"][-1] == LINK
    for pattern in ("GET /\\d", 'GET /"', "GET /\\"):
        assert eval(quoted(pattern)) == pattern


@pytest.mark.parametrize(
    "before", ["warn", "refuse", {}, {"refuse": ["GET /x"], "warn": ["GET /y"]}, {"allow": ["GET /x"]}], ids=str
)
def test_the_line_that_allows_it_leaves_all_else_as_it_is(before: Any) -> None:
    config = parse("default", {"UNEXPECTED_WRITES": before})
    entry = pasted(remedy(config, unit_for("GET", "/blog/", Cms)), UNEXPECTED_WRITES=before)
    after = parse("default", entry).unexpected_writes
    assert after.answer("GET", "/blog/") == "allow"
    for address in ("/x", "/y", "/z.html"):
        assert after.answer("GET", address) == config.unexpected_writes.answer("GET", address)


@pytest.mark.parametrize("address", ["/", "/blog/2026/", "/blog", "/blog/2026/x.html"])
def test_a_route_that_has_other_pages_too_gets_no_pattern_for_the_primary(address: str) -> None:
    advice = remedy(DEFAULT, unit_for("GET", address, Cms))
    assert "use_primary()" in advice
    assert "DB_CHOOSER" not in advice
    (pattern,) = pasted(advice)["UNEXPECTED_WRITES"]["allow"]
    assert re.match(pattern, f"GET {address}")


@pytest.mark.parametrize("address", ["/s/abc", "/", "/old/x", "/admin/"])
def test_a_page_of_its_own_gets_one(address: str) -> None:
    unit = unit_for("GET", address)
    unit.request.resolver_match = None if address == "/admin/" else unit.request.resolver_match  # type: ignore[union-attr]
    assert "use_primary()" not in remedy(DEFAULT, unit)


def test_below_a_language_it_is_the_same() -> None:
    request = RequestFactory().get("/de/blog/")
    request.resolver_match = ResolverMatch(view, (), {}, route="de/<path:url>")
    assert "DB_CHOOSER" not in remedy(DEFAULT, UnitOfWork(request))


def test_a_site_that_is_configured_from_the_environment_is_told_of_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unit = unit_for("GET", "/s/abc")
    assert "GMF_DB_CHOOSER_MASTER" not in remedy(DEFAULT, unit)
    monkeypatch.setenv("DATABASE_REPLICA_URLS", "postgres://db2/office")
    assert remedy(DEFAULT, unit).endswith(f"as one more line of GMF_DB_CHOOSER_MASTER, {LINK}")
