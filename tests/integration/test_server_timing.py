"""Does DEBUG_HEADER "Server-Timing" write what browsers read, beside what the site sends already?"""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from django_gmf_router.middleware import RoutingMiddleware, _add_header
from tests.books.models import Author
from tests.server_timing import entries

pytestmark = pytest.mark.django_db(transaction=True)


def router(name: str = "Server-Timing", **entry: object) -> dict[str, object]:
    return {"default": {"REPLICAS": ["replica_1"], "DEBUG_HEADER": name, **entry}}


def reads(request: HttpRequest) -> HttpResponse:
    return HttpResponse(Author.objects.count())


def reads_and_times(request: HttpRequest) -> HttpResponse:
    response = reads(request)
    response["Server-Timing"] = 'app;dur=1.5;desc="a, \\"b\\"", miss'
    return response


def served(view: object, method: str = "GET") -> str:
    response = RoutingMiddleware(view)(RequestFactory().generic(method, "/"))  # type: ignore[arg-type]
    return str(response.headers.get("Server-Timing", ""))


def test_an_entry_says_alias_and_reason() -> None:
    with override_settings(GMF_ROUTER=router()):
        assert entries(served(reads)) == [("gmf", {"desc": "replica_1; reason=read_method"})]
        assert entries(served(reads, "POST")) == [("gmf", {"desc": "default; reason=write_method"})]
    with override_settings(GMF_ROUTER=router(DRY_RUN=True)):
        assert entries(served(reads)) == [("gmf", {"desc": "replica_1; reason=read_method; dry_run"})]


@pytest.mark.parametrize("name", ["Server-Timing", "server-timing"])
def test_the_entries_of_the_site_stay_and_come_first(name: str) -> None:
    with override_settings(GMF_ROUTER=router(name)):
        assert entries(served(reads_and_times)) == [
            ("app", {"dur": "1.5", "desc": 'a, "b"'}),
            ("miss", {}),
            ("gmf", {"desc": "replica_1; reason=read_method"}),
        ]


def test_clusters_that_share_the_header_have_an_entry_each() -> None:
    both = {**router(), "other": {"REPLICAS": ["replica_2"], "APPS": ["geography"], "DEBUG_HEADER": "Server-Timing"}}
    with override_settings(GMF_ROUTER=both):
        assert [parameters["desc"] for _, parameters in entries(served(reads, "POST"))] == [
            "default; reason=write_method",
            "other; reason=write_method",
        ]


@pytest.mark.parametrize(
    ("alias", "shown"),
    [('the "old" one', 'the "old" one'), ("back\\slash", "back\\slash"), ("zürich, 1", "z\\xfcrich, 1")],
)
def test_any_alias_is_a_text_that_the_header_holds(alias: str, shown: str) -> None:
    response = HttpResponse(headers={"Server-Timing": "miss"})
    _add_header(response, "Server-Timing", alias)
    assert entries(response["Server-Timing"]) == [("miss", {}), ("gmf", {"desc": shown})]


def test_no_other_header_is_touched() -> None:
    with override_settings(GMF_ROUTER=router("X-GMF-Database")):
        assert served(reads) == ""
        assert entries(served(reads_and_times)) == [("app", {"dur": "1.5", "desc": 'a, "b"'}), ("miss", {})]
