"""Do the counters say what was read, decided and refused, and who may see them?"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import include, path

from django_gmf_router import clusters, unit_of_work, use_primary, use_replica
from django_gmf_router.exceptions import PrimaryBusy, PrimaryUnavailable
from django_gmf_router.metrics import exposition
from django_gmf_router.metrics.exposition import (
    DECISIONS,
    PRIMARY_READS,
    REFUSED_READS,
    REFUSED_WRITES,
    VIEW_READS,
    Metric,
)
from django_gmf_router.metrics.views import metrics
from django_gmf_router.routing import reads
from django_gmf_router.testing.plugin import refuse
from django_gmf_router.unavailable import respond
from tests.books.models import Author, Book
from tests.conftest import OpenUnit

pytestmark = pytest.mark.django_db

HERE = {"REMOTE_ADDR": "127.0.0.1"}
urlpatterns = [path("metrics", metrics), path("", include("tests.urls"))]


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """Begin with clusters that have counted nothing, on a site that shows it."""
    with configured(), override_settings(ROOT_URLCONF=__name__):
        yield


def configured(**entry: Any) -> Any:
    return override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], **entry}})


def found(metric: Metric) -> dict[tuple[str, ...], int]:
    return {labels: times for (of, labels), times in exposition.counts().items() if of is metric}


def early(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Read before the view is known."""

    def middleware(request: HttpRequest) -> HttpResponse:
        Book.objects.exists()
        return get_response(request)

    return middleware


# What is counted


@pytest.mark.django_db(transaction=True)
def test_a_request_is_counted_once_by_decision_and_each_change_once_more(client: Client) -> None:
    for _ in range(3):
        client.get("/where")
    for _ in range(2):
        client.post("/where")
    client.get("/write")
    assert found(DECISIONS) == {
        ("default", "replica", "replica_1", "read_method"): 4,
        ("default", "primary", "default", "write_method"): 2,
        ("default", "primary", "default", "wrote"): 1,
    }


@pytest.mark.django_db(transaction=True)
def test_each_query_is_counted_by_route_and_role_and_on_the_primary_by_reason(client: Client) -> None:
    client.get("/where")
    client.post("/where")
    client.get("/old/write/7")
    client.get("/s/one")
    write = r"^old/write/(?P<number>\d+)$"
    assert found(VIEW_READS) == {
        ("where", "replica"): 3,
        ("where", "primary"): 3,
        (write, "replica"): 1,
        (write, "primary"): 1,
        ("s/<slug:ref>", "replica"): 3,
    }
    assert found(PRIMARY_READS) == {("where", "write_method"): 3, (write, "wrote"): 1}


def test_what_is_read_before_the_view_is_known_is_its_own(client: Client) -> None:
    with override_settings(MIDDLEWARE=["django_gmf_router.middleware.RoutingMiddleware", f"{__name__}.early"]):
        client.get("/where")
        client.get("/nowhere")
    assert found(VIEW_READS) == {("where", "replica"): 4, ("unmatched", "replica"): 1}


def test_a_body_that_is_made_later_is_counted_while_it_is_made(client: Client) -> None:
    response = client.get("/stream")
    assert found(VIEW_READS) == {}
    body = iter(response)  # type: ignore[arg-type]
    next(body)
    assert found(VIEW_READS) == {("stream", "replica"): 2}
    list(body)
    assert found(VIEW_READS) == {("stream", "replica"): 6}


def test_jobs_and_what_is_no_request_have_one_name_each() -> None:
    for client in ("7", "8"):
        with unit_of_work(name=client):
            Author.objects.exists()
    Author.objects.exists()
    assert found(VIEW_READS) == {("unit_of_work", "replica"): 2, ("outside_request", "primary"): 1}
    assert found(PRIMARY_READS) == {("outside_request", "outside_request"): 1}


def test_of_a_site_that_makes_routes_for_ever_so_many_are_counted(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "MOST_VIEWS", 2)
    for address in ("/one-read", "/where", "/search", "/printproxy/x", "/where"):
        client.get(address)
    assert found(VIEW_READS) == {("one-read", "replica"): 1, ("where", "replica"): 6, ("other", "replica"): 6}


def test_the_site_root_has_a_name(rf: RequestFactory) -> None:
    assert clusters.registry().clusters[0].reads._view("") == "/"


def test_writes_and_what_begins_a_transaction_are_no_reads(open_request: OpenUnit) -> None:
    with open_request():
        Author.objects.create(name="written")
        with connection.cursor() as cursor:
            cursor.execute("SAVEPOINT one")
    assert found(VIEW_READS) == {}


def test_what_the_router_is_not_asked_about_is_unrouted(open_request: OpenUnit) -> None:
    with open_request():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        with use_primary():
            list(Author.objects.using("default"))
            list(Author.objects.all())
    assert found(PRIMARY_READS) == {("unmatched", "unrouted"): 1, ("unmatched", "use_primary"): 2}


def test_a_dry_run_counts_what_would_be(client: Client) -> None:
    with configured(DRY_RUN=True, REPLICAS=[]):
        client.get("/where")
        assert found(VIEW_READS) == {("where", "replica"): 3}
        assert found(DECISIONS) == {("default", "replica", "replica", "read_method"): 1}


def test_a_request_that_is_answered_503_is_counted_once(open_request: OpenUnit, rf: RequestFactory) -> None:
    clusters.registry()
    assert (found(REFUSED_WRITES), found(REFUSED_READS)) == ({("default",): 0}, {("default",): 0})
    for failure in (PrimaryUnavailable("default"), PrimaryBusy("default", 4)):
        with open_request():
            # Of the view, and of the session that cannot be saved after it.
            respond(rf.get("/"), failure)
            respond(rf.get("/"), failure)
    assert (found(REFUSED_WRITES), found(REFUSED_READS)) == ({("default",): 1}, {("default",): 1})


# Who may see it


@pytest.mark.parametrize(
    ("address", "allowed", "headers", "status"),
    [
        ("127.0.0.1", None, {}, 200),
        ("127.8.0.1", None, {}, 200),
        ("::1", None, {}, 200),
        ("::ffff:127.0.0.1", None, {}, 200),
        ("10.1.2.3", None, {}, 403),
        ("", None, {}, 403),
        ("10.1.2.3", ["10.0.0.0/8"], {}, 200),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], {}, 200),
        ("11.1.2.3", ["10.0.0.0/8", "192.0.2.7"], {}, 403),
        ("192.0.2.7", ["10.0.0.0/8", "192.0.2.7"], {}, 200),
        ("2001:db8::7", ("2001:db8::/32",), {}, 200),
        ("127.0.0.1", ["10.0.0.0/8"], {}, 403),
        ("127.0.0.1", [], {}, 403),
        ("10.1.2.3", None, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 403),
        ("127.0.0.1", None, {"HTTP_X_FORWARDED_FOR": "10.1.2.3"}, 403),
        ("127.0.0.1", None, {"HTTP_FORWARDED": "for=10.1.2.3"}, 403),
        ("10.1.2.3", ["10.0.0.0/8"], {"HTTP_X_FORWARDED_FOR": "11.1.2.3"}, 200),
    ],
)
def test_the_networks_of_the_settings_may_see_the_metrics(
    client: Client, address: str, allowed: Any, headers: dict[str, str], status: int
) -> None:
    setting = {} if allowed is None else {"GMF_METRICS_ALLOW": allowed}
    with override_settings(**setting):
        answer = client.get("/metrics", REMOTE_ADDR=address, **headers)
    assert answer.status_code == status
    assert (b"gmf_router_" in answer.content) == (status == 200)


@pytest.mark.parametrize(("who", "status"), [({"is_staff": True}, 200), ({"is_staff": False}, 403)])
def test_staff_may_see_the_metrics_from_anywhere(client: Client, who: dict[str, bool], status: int) -> None:
    client.force_login(User.objects.create(username="who", **who))
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.7").status_code == status


def test_the_metrics_are_only_read(client: Client) -> None:
    assert client.post("/metrics", **HERE).status_code == 405  # type: ignore[arg-type]
    assert "no-store" in client.get("/metrics", **HERE)["Cache-Control"]  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["10.0.0.0/8", ["10.0.0.0/8", "the office"]])
def test_what_is_no_network_is_told(rf: RequestFactory, value: Any) -> None:
    with override_settings(GMF_METRICS_ALLOW=value), pytest.raises(ImproperlyConfigured, match="GMF_METRICS_ALLOW"):
        metrics(rf.get("/metrics"))


def test_without_the_library_one_line_says_what_to_install(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "django_gmf_router.metrics.exposition", raising=False)
    answer = client.get("/metrics", **HERE)  # type: ignore[arg-type]
    assert answer.status_code == 501
    assert answer.content == b"The metrics need prometheus-client: pip install 'django-gmf-router[prometheus]'\n"


def test_the_text_holds_what_was_counted(client: Client) -> None:
    if find_spec("prometheus_client") is None:
        refuse("the Python package prometheus-client is needed: pip install prometheus-client")
    from prometheus_client import parser

    client.get("/where")
    answer = client.get("/metrics", **HERE)  # type: ignore[arg-type]
    families = {family.name: family for family in parser.text_string_to_metric_families(answer.content.decode())}
    assert set(families) == {metric.name for metric in (*exposition.COUNTERS, *exposition.GAUGES)}
    (sample,) = families["gmf_router_decisions"].samples
    labels = {"cluster": "default", "role": "replica", "alias": "replica_1", "reason": "read_method"}
    assert (sample.name, sample.labels, sample.value) == ("gmf_router_decisions_total", labels, 1)
    nodes = {sample.labels["node"]: sample.value for sample in families["gmf_router_node_up"].samples}
    assert nodes == {"default": 1, "replica_1": 1}


# Reads of the primary that nobody expects


def told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if getattr(record, "event", "") == "unexpected_primary_read"]


@pytest.mark.django_db(transaction=True)
def test_a_view_that_reads_the_primary_all_the_same_is_told_once(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with configured(UNEXPECTED_PRIMARY_READS="warn", UNEXPECTED_WRITES="allow"):
        for _ in range(3):
            client.get("/write")
        client.get("/atomic")
        client.head("/atomic")
    first, second, third = told(caplog)
    assert first.getMessage() == (
        "GET /write reads 1 time from the primary (wrote 1), though the rules sent it to replicas. "
        "The request has written before: write after the reads, or in a task. To send all its reads there, add "
        'GMF_ROUTER["default"].setdefault("DB_CHOOSER", {}).setdefault("master", []).append(r"(GET|HEAD) /write$")'
    )
    assert (first.view, first.reads, first.reasons) == ("write", 1, {"wrote": 1})  # type: ignore[attr-defined]
    assert (second.view, second.reasons) == ("atomic", {"atomic": 1})  # type: ignore[attr-defined]
    assert third.getMessage().startswith("HEAD /atomic")


@pytest.mark.django_db(transaction=True)
def test_by_default_nothing_is_told(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.get("/write")
    client.get("/atomic")
    assert not told(caplog)


@pytest.mark.parametrize(
    ("entry", "ask"),
    [
        ({}, lambda client: client.get("/where")),
        ({}, lambda client: client.post("/where")),
        ({}, lambda client: client.get("/lazy")),
        ({}, lambda client: client.get("/session")),
        ({"DB_CHOOSER": {"master": ["GET /where"]}}, lambda client: client.get("/where")),
        ({"PRIMARY_MODELS": ["library.Author"]}, lambda client: client.get("/where")),
        ({"REPLICA_MODELS": ["library.Book"]}, lambda client: client.get("/where")),
        ({"SHARE": 0}, lambda client: client.get("/where")),
        ({"CONSISTENCY": {"LEVEL": "strong"}}, lambda client: client.get("/where")),
    ],
)
def test_what_was_meant_to_go_to_the_primary_is_not_told(
    client: Client, caplog: pytest.LogCaptureFixture, entry: dict[str, Any], ask: Callable[[Client], Any]
) -> None:
    with configured(UNEXPECTED_PRIMARY_READS="warn", **entry):
        ask(client)
    assert not told(caplog)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_cursor_of_a_request_that_the_rules_sent_to_the_primary_is_not_told(
    open_request: OpenUnit, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    with configured(UNEXPECTED_PRIMARY_READS="warn", DB_CHOOSER={"master": ["GET /reports"]}):
        with open_request(method, "/reports"), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert found(PRIMARY_READS) == {("unmatched", "wrote"): 1}
    assert not told(caplog)


def test_an_object_of_the_primary_and_a_cursor_are_told_by_their_reasons(
    open_request: OpenUnit, caplog: pytest.LogCaptureFixture
) -> None:
    author = Author.objects.create(name="known")
    with configured(UNEXPECTED_PRIMARY_READS="warn"), open_request("GET", "/somewhere"):
        list(author.books.all())
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        with use_replica():
            list(author.books.all())
    (record,) = told(caplog)
    assert record.reasons == {"instance": 1, "unrouted": 1}  # type: ignore[attr-defined]
