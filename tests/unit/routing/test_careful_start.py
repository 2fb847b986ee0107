"""Does a site that begins with a part of its models, clients or requests read that part from replicas, and no other?"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import router
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from django_gmf_router import Decision, clusters, current_decision, use_primary, use_replica
from django_gmf_router.replicas.health import State
from django_gmf_router.routing.unit_of_work import UnitOfWork, current_place
from tests.books.models import Author, Book
from tests.conftest import OpenUnit
from tests.unit.routing.test_policy import loaded_from, read, routed

pytestmark = pytest.mark.usefixtures("unmirrored")
ANSWERS: list[Any] = []
"""What the CHOOSER of these tests returns, or raises; each asking takes one."""
ASKED: list[HttpRequest] = []


def choose(request: HttpRequest) -> Any:
    """Return the next of ANSWERS."""
    ASKED.append(request)
    answer = ANSWERS.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return answer() if callable(answer) else answer


CHOOSER = f"{__name__}.choose"


@pytest.fixture(autouse=True)
def _anew() -> None:
    ANSWERS.clear()
    ASKED.clear()


# REPLICA_MODELS


@pytest.mark.parametrize("models", [["library.Book"], ["library.book", "auth.*"]])
def test_only_the_models_that_are_listed_are_read_from_replicas(open_request: OpenUnit, models: list[str]) -> None:
    with routed(REPLICA_MODELS=models), open_request("GET", "/"):
        assert read(Book)[1] == "read_method"
        assert read(Author) == ("default", "not_opted_in")
        assert read(Book)[1] == "read_method"


def test_a_block_beats_the_list_and_the_list_beats_a_pattern(open_request: OpenUnit) -> None:
    patterns = {"master": ["GET /m"], "slave": ["POST /s"]}
    with routed(REPLICA_MODELS=["library.Book"], DB_CHOOSER=patterns):
        with open_request("GET", "/m"):
            assert read(Author) == ("default", "not_opted_in")
            assert read(Book) == ("default", "master_override")
        with open_request("POST", "/s"), use_replica():
            assert read(Author)[1] == "use_replica"


def test_no_model_at_all_is_read_from_replicas_where_the_list_is_empty(open_request: OpenUnit) -> None:
    with routed(REPLICA_MODELS=[]), open_request("GET", "/"):
        assert read(Book) == ("default", "not_opted_in")


def test_a_primary_model_stays_one_though_it_is_listed(open_request: OpenUnit) -> None:
    with routed(REPLICA_MODELS=["library.*"], PRIMARY_MODELS=["sessions.*", "library.Book"]), open_request("GET", "/"):
        assert read(Book) == ("default", "primary_model")


# SHARE


def served(share: float, clients: int, **entry: Any) -> set[str]:
    """Return which of so many clients read from replicas."""
    found = set()
    with routed(SHARE=share, **entry):
        for number in range(clients):
            request = RequestFactory().get("/", REMOTE_ADDR=f"10.0.{number // 250}.{number % 250}")
            token = current_place.set(UnitOfWork(request))
            try:
                alias, reason = read()
            finally:
                current_place.reset(token)
            assert (alias == "default") == (reason == "share")
            if alias != "default":
                found.add(request.META["REMOTE_ADDR"])
    return found


def test_a_share_of_the_clients_is_served_by_replicas_the_same_ones_always() -> None:
    some = served(0.3, 1000)
    assert 260 <= len(some) <= 340
    assert served(0.3, 1000) == some
    assert some < served(0.6, 1000)
    assert served(0, 50) == set()
    assert len(served(1.0, 50)) == 50


def test_a_session_is_one_client_wherever_it_comes_from() -> None:
    with routed(SHARE=0.5):
        for session in map(str, range(20)):
            reasons = set()
            for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
                request = RequestFactory().get("/", REMOTE_ADDR=address)
                request.COOKIES["sessionid"] = session
                token = current_place.set(UnitOfWork(request))
                reasons.add(read()[1])
                current_place.reset(token)
            assert len(reasons) == 1


def test_a_master_pattern_beats_the_share_which_beats_a_slave_pattern_and_the_chooser(open_request: OpenUnit) -> None:
    patterns = {"master": ["GET /m"], "slave": ["POST /s"]}
    with routed(SHARE=0.0, DB_CHOOSER=patterns, CHOOSER=CHOOSER):
        for line, reason in (("GET /m", "master_override"), ("POST /s", "share"), ("GET /", "share")):
            with open_request(*line.split()):
                assert read() == ("default", reason)
        with open_request("GET", "/"), use_replica():
            assert read()[1] == "use_replica"
    assert ASKED == []


# CHOOSER


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("answer", ["primary", "replica"])
def test_the_site_itself_chooses_once_a_request(open_request: OpenUnit, method: str, answer: str) -> None:
    ANSWERS.append(answer)
    with routed(CHOOSER=CHOOSER), open_request(method, "/") as unit:
        for _ in range(3):
            alias, reason = read()
            assert reason == "chooser"
            assert (alias == "default") == (answer == "primary")
        assert [unit.request] == ASKED


@pytest.mark.parametrize(("method", "reason"), [("GET", "read_method"), ("POST", "write_method")])
def test_where_it_says_nothing_the_method_decides(open_request: OpenUnit, method: str, reason: str) -> None:
    ANSWERS.append(None)
    with routed(CHOOSER=CHOOSER), open_request(method, "/"):
        assert read()[1] == reason


@pytest.mark.parametrize("answer", [ValueError("no flag"), "slave", True, 7])
def test_what_it_raises_and_nonsense_are_logged_once_and_say_nothing(
    open_request: OpenUnit, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with routed(CHOOSER=CHOOSER):
        for _ in range(2):
            ANSWERS.append(answer)
            with open_request("GET", "/"):
                assert read()[1] == "read_method"
    assert [vars(record)["event"] for record in caplog.records] == ["chooser"]


@pytest.mark.parametrize("line", ["GET /m", "POST /s", "GET /s"])
def test_it_is_not_asked_where_a_pattern_matches(open_request: OpenUnit, line: str) -> None:
    with routed(CHOOSER=CHOOSER, DB_CHOOSER={"master": ["GET /m"], "slave": [r"\w+ /s"]}), open_request(*line.split()):
        read()
    assert ASKED == []


def test_it_is_not_asked_for_what_it_may_not_decide(open_request: OpenUnit) -> None:
    with (
        routed(CHOOSER=CHOOSER, PRIMARY_MODELS=["library.Author"], REPLICA_MODELS=["library.*"]),
        open_request("GET", "/"),
    ):
        read(Author)
        read(User)
        with use_primary():
            read(Book)
        with use_replica():
            read(Book)
    assert ASKED == []


def test_what_it_reads_itself_goes_by_the_method_and_binds_nobody(open_request: OpenUnit) -> None:
    inner: list[Any] = []
    ANSWERS.append(lambda: inner.append(read(User)[1]) or "primary")
    with routed(CHOOSER=CHOOSER), open_request("GET", "/"):
        assert read() == ("default", "chooser")
        assert read(User) == ("default", "chooser")
    assert inner == ["read_method"]


def test_a_write_and_an_instance_of_the_primary_beat_its_replica(open_request: OpenUnit) -> None:
    ANSWERS.extend(["replica", "replica"])
    with routed(CHOOSER=CHOOSER), open_request("POST", "/") as unit:
        assert read(Author, instance=loaded_from("default", Book))[1] == "instance"
        assert read()[1] == "chooser"
        clusters.registry().clusters[0].policy.record(unit).write()
        assert read() == ("default", "wrote")


# Opt in by view


def test_without_read_methods_only_what_a_pattern_or_a_block_names_reads_from_replicas(open_request: OpenUnit) -> None:
    with routed(READ_METHODS=[], DB_CHOOSER={"slave": ["GET /reports/"]}):
        with open_request("GET", "/reports/2026") as unit:
            assert read()[1] == "slave_override"
            clusters.registry().clusters[0].policy.record(unit).write()
            assert read() == ("default", "wrote")
        with open_request("GET", "/") as unit:
            assert read() == ("default", "write_method")
            clusters.registry().clusters[0].policy.record(unit).write()
            with use_replica():
                assert read()[1] == "use_replica"


# DRY_RUN


def test_in_a_dry_run_all_is_decided_and_read_from_the_primary(open_request: OpenUnit) -> None:
    with routed(DRY_RUN=True), open_request("GET", "/"):
        assert read(Book) == ("default", "read_method")
        assert str(current_decision()).startswith("replica_")
        # What was loaded so counts as loaded from the replica.
        assert read(Author, instance=loaded_from(router.db_for_read(Book), Book))[1] == "read_method"


def test_a_dry_run_without_replicas_imagines_one(open_request: OpenUnit) -> None:
    with override_settings(GMF_ROUTER={"default": {"DRY_RUN": True, "DB_CHOOSER": {"master": ["GET /m"]}}}):
        with open_request("GET", "/"):
            assert read(Book)[0] == "default"
            assert current_decision() == Decision(role="replica", alias="replica", reason="read_method")
        with open_request("GET", "/m"):
            assert read(Book) == ("default", "master_override")
        cluster = clusters.registry().clusters[0]
        assert cluster.monitor._threads is None
        assert clusters.of_alias("replica") is None


def test_a_dry_run_refuses_no_read_where_no_replica_serves(open_request: OpenUnit) -> None:
    with routed(DRY_RUN=True, SPILL=0):
        monitor = clusters.registry().clusters[0].monitor
        for alias in ("replica_1", "replica_2"):
            monitor.report_failure(alias, "refused")
            assert monitor.health(alias).state == State.DOWN
        with open_request("GET", "/"):
            assert read(Book) == ("default", "no_replica")
