"""Do the views, functions and receivers of the pages read where the pages say?"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.db import router
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path

import django_gmf_router
from django_gmf_router import clusters, current_decision
from django_gmf_router.signals import node_down, role_decided
from tests.books.models import Author, Book
from tests.conftest import OpenUnit
from tests.unit.docs.running import run_example
from tests.urls import where

pytestmark = pytest.mark.django_db
PYTHON = "docs/reference/python.md"
LOOK = "return seen()"


def seen() -> str:
    """Ask where is read, and return the role and the reason."""
    router.db_for_read(Book)
    decision = current_decision()
    assert decision is not None
    return f"{decision.role} {decision.reason}"


def alias() -> str:
    """Ask where is read, and return the alias."""
    return str(router.db_for_read(Book))


@pytest.fixture
def receivers() -> Iterator[None]:
    """Forget afterwards what an example connects to a signal."""
    signals = (node_down, role_decided)
    before = [list(signal.receivers) for signal in signals]
    yield
    for signal, kept in zip(signals, before, strict=True):
        signal.receivers = kept
        signal.sender_receivers_cache.clear()


# Blocks and decorators


def test_the_names_of_the_reference_are_those_of_the_package() -> None:
    names = run_example(PYTHON, "import note_write, or_primary")
    assert {name for name in names if not name.startswith("__")} == {*django_gmf_router.__all__} - {"__version__"}


@pytest.mark.parametrize(
    ("name", "method", "expected"),
    [
        ("stock", "GET", "primary use_primary"),
        ("statistics", "POST", "replica use_replica"),
        ("Order", "GET", "primary use_primary"),
    ],
)
def test_a_decorated_view_of_the_reference_reads_as_its_block_says(
    open_request: OpenUnit, name: str, method: str, expected: str
) -> None:
    view = run_example(PYTHON, "def statistics", dots=LOOK, seen=seen)[name]
    request = RequestFactory().generic(method, "/")
    with open_request(method, "/"):
        answer = view.as_view()(request) if name == "Order" else view(request)
        assert (asyncio.run(answer) if asyncio.iscoroutine(answer) else answer) == expected
        assert seen().endswith("_method")


def test_a_block_of_the_reference_ends_where_it_ends(open_request: OpenUnit) -> None:
    count = run_example(PYTHON, "def statistics", Place=Author)["count"]
    Author.objects.create(name="Ada")
    with open_request("GET", "/"):
        assert count() == 1
        assert str(current_decision()) == "default; reason=use_primary"
        assert seen() == "replica read_method"


def test_a_view_that_is_decorated_reads_from_the_primary_from_its_beginning(open_request: OpenUnit) -> None:
    view = run_example("docs/how-to/a-get-that-writes.md", "def short_link", dots=LOOK, seen=seen)["short_link"]
    with open_request("GET", "/s/abc"):
        assert view(RequestFactory().get("/s/abc"), "abc") == "primary use_primary"


@pytest.mark.usefixtures("unmirrored")
def test_a_view_that_names_a_pool_reads_from_it(open_request: OpenUnit) -> None:
    """With the settings above it on the page, whose third replica is here the second one."""
    page = run_example("docs/how-to/pools-and-regions.md", '"reports": {"POOL": "reports"}')["GMF_ROUTER"]["default"]
    names = run_example("docs/how-to/pools-and-regions.md", "def yearly_report", dots="return alias()", alias=alias)
    view, request = names["yearly_report"], RequestFactory().get("/")
    replicas = {"replica_1": page["REPLICAS"]["replica_1"], "replica_2": page["REPLICAS"]["reports"]}
    with override_settings(GMF_ROUTER={"default": {**page, "REPLICAS": replicas}}), open_request("GET", "/"):
        assert {view(request) for _ in range(8)} == {"replica_2"}
    with override_settings(GMF_ROUTER={}), open_request("GET", "/"):
        assert view(request) == "default"
    other = {"REPLICAS": {"replica_1": {}, "replica_2": {"POOL": "exports"}}, "POOLS": {"exports": ["GET /exports/"]}}
    with (
        override_settings(GMF_ROUTER={"default": other}),
        open_request("GET", "/"),
        pytest.raises(ValueError, match="reports"),
    ):
        view(request)


# Receivers


@pytest.mark.usefixtures("receivers")
def test_a_receiver_of_decisions_is_called_with_what_the_reference_says(open_request: OpenUnit) -> None:
    told: list[tuple[Any, ...]] = []
    names = run_example(
        PYTHON, "def count(sender", dots="tell(sender, decision.role, model)", tell=lambda *it: told.append(it)
    )
    assert callable(names["count"])
    with open_request("GET", "/"):
        seen()
        seen()
    assert told == [("default", "replica", Book)]


@pytest.mark.usefixtures("receivers")
def test_what_reads_from_the_primary_for_a_reason_of_the_view_is_told_with_its_line(
    open_request: OpenUnit, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_example("docs/how-to/in-development.md", "def tell")
    assert callable(names["tell"])
    with open_request("GET", "/"):
        Book.objects.count()
        assert capsys.readouterr() == ("", "")
        Book.objects.create(title="Atlas")
        Book.objects.count()
    printed = capsys.readouterr()
    assert printed.out == "Book: default; reason=wrote\n"
    assert "Book.objects.count()" in printed.err


@pytest.mark.usefixtures("receivers", "unmirrored")
def test_operations_are_told_of_a_node_that_goes_down(capsys: pytest.CaptureFixture[str]) -> None:
    names = run_example("docs/reference/signals-and-logs.md", "def tell_operations")
    assert callable(names["tell_operations"])
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"]}}):
        clusters.registry().clusters[0].monitor.report_failure("replica_1", "connection refused")
    assert capsys.readouterr().out == "replica_1 of default is down: connection refused\n"


# The page of an outage


def test_the_site_s_own_page_is_what_clients_get_while_no_primary_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.integration.test_unavailable import needs_the_primary

    site = ModuleType("office_urls")
    vars(site).update(run_example(PYTHON, "handler503"))
    site.urlpatterns = [path("needs", needs_the_primary), path("where", where)]  # type: ignore[attr-defined]
    views = ModuleType("office.views")
    views.read_only = site.read_only  # type: ignore[attr-defined]
    for name, module in (("office", ModuleType("office")), ("office.views", views), ("office_urls", site)):
        monkeypatch.setitem(sys.modules, name, module)
    with override_settings(ROOT_URLCONF="office_urls"):
        answer: HttpResponse = Client().get("/needs")
        assert Client().get("/where").status_code == 200
    assert (answer.status_code, answer.content, answer["Retry-After"]) == (503, b"Back in a moment.", "30")
