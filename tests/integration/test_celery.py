"""Does a task that runs where it is called read what its caller wrote, and leave nothing to it?

`task_always_eager`, and a broker in memory; a real one, real workers and real replicas are in tests/jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import celery
import pytest
from celery.signals import before_task_publish
from django.db import InterfaceError, OperationalError, connections, transaction
from django.test import override_settings

from django_gmf_router import current_decision, note_write, own_writes, unit_of_work
from django_gmf_router.contrib import celery as contrib
from django_gmf_router.routing.unit_of_work import current_place
from tests.books.models import Author
from tests.conftest import OpenUnit

pytestmark = [pytest.mark.usefixtures("unmirrored"), pytest.mark.django_db(databases="__all__", transaction=True)]


@pytest.fixture
def app() -> Iterator[Any]:
    """An application whose tasks run where they are called."""
    made = celery.Celery("eager", broker="memory://", backend="cache+memory://", set_as_current=False)
    made.conf.update(task_always_eager=True, task_store_eager_result=False)
    contrib.install(made, default="session")
    yield made
    del contrib._DEFAULTS[made]
    made.close()


def reason() -> str:
    Author.objects.exists()
    return str(current_decision())


@pytest.fixture
def read(app: Any) -> Any:
    """A task that reads, and tells why where."""
    return app.task(name="read")(reason)


@pytest.fixture
def sent(app: Any) -> Iterator[list[dict[str, Any]]]:
    """The headers of each message that leaves; tasks do not run where they are called."""
    app.conf.task_always_eager = False
    found: list[dict[str, Any]] = []

    def see(headers: dict[str, Any], **_: Any) -> None:
        found.append(headers)

    before_task_publish.connect(see, weak=False)
    yield found
    before_task_publish.disconnect(see)


def test_it_reads_from_a_replica_where_nobody_wrote(read: Any, open_request: OpenUnit) -> None:
    with open_request("GET", "/"):
        assert read.delay().get().endswith("reason=unit_of_work")


def test_it_reads_what_its_caller_wrote(read: Any, open_request: OpenUnit) -> None:
    with open_request("GET", "/"):
        Author.objects.create(name="Ada")
        assert read.delay().get() == "default; reason=consistency"


def test_it_reads_what_a_script_wrote(read: Any) -> None:
    assert read.delay().get() == "default; reason=consistency"


def test_it_reads_from_the_primary_inside_a_transaction(read: Any, open_request: OpenUnit) -> None:
    with open_request("GET", "/"), transaction.atomic():
        assert read.delay().get() == "default; reason=consistency"


def test_its_caller_reads_what_it_wrote_and_where_it_stands_it_stood_before(app: Any, open_request: OpenUnit) -> None:
    @app.task(name="write")
    def write() -> None:
        Author.objects.create(name="Ada")

    with open_request("GET", "/") as unit:
        assert reason().endswith("reason=read_method")
        write.delay()
        assert current_place.get() is unit
        assert reason() == "default; reason=wrote"


def test_its_caller_is_left_alone_by_a_task_that_only_reads_from_the_primary(app: Any, open_request: OpenUnit) -> None:
    strong = app.task(name="strong", gmf_consistency="strong")(reason)
    with open_request("GET", "/") as unit:
        assert strong.delay().get() == "default; reason=use_primary"
        assert current_place.get() is unit
        assert reason().endswith("reason=read_method")


def test_one_that_fails_leaves_its_caller_where_it_stood(app: Any, open_request: OpenUnit) -> None:
    @app.task(name="fail")
    def fail() -> None:
        unit_of_work().__enter__()
        raise ValueError("It was meant to fail.")

    with open_request("GET", "/") as unit:
        assert fail.delay().state == "FAILURE"
        assert current_place.get() is unit


def test_a_task_of_an_application_without_it_is_left_alone(app: Any) -> None:
    other = celery.Celery("other", broker="memory://", set_as_current=False)
    other.conf.task_always_eager = True
    assert other.task(name="read")(reason).delay().get() == "None"
    other.close()


@pytest.mark.parametrize("level", ["", "sesion", "STRONG"])
def test_a_default_that_is_no_level_is_refused(app: Any, level: str) -> None:
    with pytest.raises(ValueError, match="choose one of 'strong', 'session', 'delayed', 'eventual'"):
        contrib.install(app, default=level)


def test_a_level_that_is_none_is_logged_and_reads_from_the_primary(
    app: Any, open_request: OpenUnit, caplog: pytest.LogCaptureFixture
) -> None:
    misspelt = app.task(name="misspelt", gmf_consistency="sesion")(reason)
    with open_request("GET", "/"):
        assert misspelt.delay().get() == "default; reason=use_primary"
    told = [vars(record)["event"] for record in caplog.records if record.name == "django_gmf_router"]
    assert told == ["unknown_level"]


def test_a_message_carries_what_was_written_and_nothing_where_nothing_was(
    read: Any, sent: list[dict[str, Any]], open_request: OpenUnit
) -> None:
    with open_request("GET", "/"):
        read.delay()
        Author.objects.create(name="Ada")
        read.delay()
        with transaction.atomic():
            read.delay()
    first, second, third = (headers.get("gmf_token") for headers in sent)
    assert first is None
    assert str(second).startswith("1!")
    assert third == "unknown"


def test_the_body_of_a_chord_that_a_job_of_celerys_own_sends_sees_all_that_is_committed(
    app: Any, read: Any, sent: list[dict[str, Any]], open_request: OpenUnit
) -> None:
    app.backend.store_result("part", "done", "SUCCESS")
    with open_request("GET", "/"):
        app.tasks["celery.chord_unlock"].apply(("group", read.si()), {"result": [("part", None)]}, throw=True)
    assert [headers["gmf_token"][:2] for headers in sent] == ["1!"]


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_primary_that_does_not_answer_is_no_reason_not_to_send(
    read: Any, sent: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail() -> None:
        raise error("It does not answer.")

    monkeypatch.setattr(connections["default"], "ensure_connection", fail)
    read.delay()
    assert sent[0]["gmf_token"] == "unknown"


def test_what_fails_unforeseen_does_not_look_like_nothing_written(
    read: Any, sent: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("Unforeseen.")

    monkeypatch.setattr(contrib, "token_to_send", fail)
    read.delay()
    assert sent[0]["gmf_token"] == "unknown"


def test_a_job_that_was_sent_in_a_transaction_says_so_to_those_that_it_sends() -> None:
    with unit_of_work(read_after=own_writes.UNKNOWN), unit_of_work():
        assert own_writes.token_to_send() == own_writes.UNKNOWN


def test_what_has_expired_is_replaced_by_what_is_committed_now() -> None:
    with unit_of_work(read_after="expired"):
        assert str(own_writes.token_to_send()).startswith("1!")


def test_a_job_in_a_test_case_is_in_no_transaction_of_its_own(open_request: OpenUnit) -> None:
    atomic = transaction.atomic()
    atomic._from_testcase = True  # type: ignore[attr-defined]
    with open_request("GET", "/"), atomic:
        assert own_writes.token_to_send() is None
        with transaction.atomic():
            assert own_writes.token_to_send() == own_writes.UNKNOWN


def test_what_was_written_to_several_clusters_is_one_token_wherever_they_keep_theirs(open_request: OpenUnit) -> None:
    router = {
        "default": {"REPLICAS": ["replica_1"]},
        "other": {"REPLICAS": ["replica_2"], "APPS": ["tiles"], "CONSISTENCY": {"STORE": "header"}},
    }
    with override_settings(GMF_ROUTER=router):
        with open_request("GET", "/"):
            note_write("default")
            note_write("other")
            token = own_writes._parsed(str(own_writes.token_to_send()))
        assert token is not None
        assert {mark.cluster for mark in token.marks} == {"default", "other"}
        with unit_of_work(read_after=own_writes.dumps(token)):
            assert reason() == "default; reason=consistency"


def test_what_a_job_was_given_counts_where_clients_are_promised_nothing(open_request: OpenUnit) -> None:
    router = {"default": {"REPLICAS": ["replica_1"], "CONSISTENCY": {"LEVEL": "eventual"}}}
    with override_settings(GMF_ROUTER=router):
        with open_request("GET", "/"):
            Author.objects.create(name="Ada")
            token = own_writes.token_to_send()
        for given in (token, "now"):
            with unit_of_work(read_after=given):
                assert reason() == "default; reason=consistency"


def test_who_sends_from_an_event_loop_where_nobody_may_ask_says_that_he_does_not_know() -> None:
    async def send() -> str | None:
        return own_writes.token_to_send()

    connections["default"].close()
    assert asyncio.run(send()) == own_writes.UNKNOWN
