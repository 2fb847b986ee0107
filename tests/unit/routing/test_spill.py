"""Is the primary kept from drowning where no replica serves, and told from an outage?"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections, router
from django.test import override_settings

from django_gmf_router import clusters, current_decision, use_replica
from django_gmf_router.exceptions import PrimaryBusy, PrimaryUnavailable
from django_gmf_router.routing.unit_of_work import UnitOfWork
from tests.books.models import Book
from tests.conftest import OpenUnit


@pytest.fixture(autouse=True)
def _without_replicas(unmirrored: None) -> Iterator[None]:
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1", "replica_2"], "SPILL": 2}}):
        (cluster,) = clusters.registry().clusters
        for alias in ("replica_1", "replica_2"):
            cluster.monitor.report_failure(alias, "connection refused")
        yield


def test_so_many_requests_at_once_read_from_the_primary_and_the_next_is_refused(open_request: OpenUnit) -> None:
    with open_request("GET", "/1"):
        assert router.db_for_read(Book) == "default"
        with open_request("GET", "/2"):
            assert router.db_for_read(Book) == "default"
            with open_request("GET", "/3"), pytest.raises(PrimaryBusy, match=r"'default'.* 2 such .*SPILL"):
                router.db_for_read(Book)
        with open_request("GET", "/4"):
            router.db_for_read(Book)
            assert str(current_decision()) == "default; reason=no_replica"


def test_a_request_has_one_place_however_often_it_reads(open_request: OpenUnit) -> None:
    for _ in range(5):
        with open_request("GET", "/1"):
            assert [router.db_for_read(Book) for _ in range(5)] == ["default"] * 5
            # Blocks that pick for themselves.
            for _ in range(5):
                with use_replica(level="eventual"):
                    assert router.db_for_read(Book) == "default"
            with open_request("GET", "/2"):
                assert router.db_for_read(Book) == "default"


@pytest.mark.parametrize("method", ["POST", "GET /s/"])
def test_what_reads_from_the_primary_for_another_reason_has_no_limit(open_request: OpenUnit, method: str) -> None:
    method, _, path = method.partition(" ")
    entry = {"REPLICAS": ["replica_1"], "SPILL": 0, "DB_CHOOSER": {"master": ["GET /s/"]}}
    with override_settings(GMF_ROUTER={"default": entry}), open_request(method, path or "/"):
        assert router.db_for_read(Book) == "default"


def test_none_is_none(open_request: OpenUnit) -> None:
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], "SPILL": 0}}):
        clusters.registry().clusters[0].monitor.report_failure("replica_1", "connection refused")
        with open_request("GET", "/"), pytest.raises(PrimaryBusy):
            router.db_for_read(Book)


def test_outside_requests_there_is_no_limit() -> None:
    for _ in range(5):
        with use_replica():
            assert router.db_for_read(Book) == "default"


def test_a_worker_that_reads_from_replicas_has_no_limit() -> None:
    def work() -> None:
        assert router.db_for_read(Book) == "default"
        assert str(current_decision()) == "default; reason=no_replica"

    entry = {"REPLICAS": ["replica_1"], "SPILL": 0, "OUTSIDE_REQUESTS": "replica"}
    with override_settings(GMF_ROUTER={"default": entry}):
        clusters.registry().clusters[0].monitor.report_failure("replica_1", "connection refused")
        contextvars.copy_context().run(work)


def test_many_threads_have_no_more_places(open_request: OpenUnit) -> None:
    begin, seen = threading.Barrier(8), threading.Barrier(8)

    def read() -> bool:
        with open_request("GET", "/"):
            begin.wait(10)
            try:
                router.db_for_read(Book)
            except PrimaryBusy:
                return False
            finally:
                seen.wait(10)
        return True

    for _ in range(10):
        with ThreadPoolExecutor(8) as threads:
            assert sum(future.result() for future in [threads.submit(read) for _ in range(8)]) == 2


@pytest.mark.django_db(transaction=True)
def test_the_session_that_was_opened_for_it_ends_with_it(open_request: OpenUnit, monkeypatch: Any) -> None:
    closed: list[str] = []
    wrapper: Any = connections["default"]
    wrapper.ensure_connection()
    monkeypatch.setattr(wrapper, "close", lambda: closed.append("default"))
    with open_request("GET", "/"):
        router.db_for_read(Book)
        assert str(current_decision()) == "default; reason=no_replica"
    assert closed == []  # It was open before.
    monkeypatch.setattr(wrapper, "connection", None)
    with open_request("GET", "/"):
        router.db_for_read(Book)
        assert closed == []
    assert closed == ["default"]


def test_what_comes_after_the_end_of_its_request_gives_its_place_back() -> None:
    (cluster,) = clusters.registry().clusters
    for _ in range(5):
        unit = UnitOfWork()
        unit.method, unit.path = "GET", "/"
        unit.close()
        cluster.policy._spill.take(unit, cluster.policy.record(unit), connections["default"])


def test_it_is_told_as_a_503_of_its_own() -> None:
    error = PrimaryBusy("default", 2)
    assert isinstance(error, PrimaryUnavailable)
    assert error.outcome == PrimaryBusy.TOO_MANY
