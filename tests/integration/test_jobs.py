"""Does a job read as its level says, and leave nothing to the next one?"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.db import router
from django.test import override_settings
from django.utils.asyncio import async_unsafe

from django_gmf_router import clusters, current_decision, unit_of_work, use_primary
from django_gmf_router.own_writes.jobs import Level, Work
from django_gmf_router.routing.unit_of_work import NOWHERE, current_place, open_unit
from tests.books.models import Author, Book
from tests.conftest import OpenUnit

pytestmark = [pytest.mark.usefixtures("unmirrored"), pytest.mark.django_db(databases="__all__", transaction=True)]
REPLICAS = {"replica_1", "replica_2"}


def read() -> tuple[str, str]:
    alias = router.db_for_read(Book)
    return alias, str(current_decision()).partition("reason=")[2]


def test_a_job_reads_from_one_replica_and_leaves_nothing_behind() -> None:
    seen = set()
    for _ in range(40):
        with unit_of_work():
            alias, reason = read()
            assert reason == "unit_of_work"
            assert {router.db_for_read(model) for model in (Book, Author) * 3} == {alias}
            seen.add(alias)
        assert current_place.get() is NOWHERE
    assert seen == REPLICAS
    assert router.db_for_read(Book) == "default"


def test_what_a_job_wrote_it_reads_and_the_next_one_does_not_care() -> None:
    with unit_of_work():
        Author.objects.create(name="Ada")
        assert read() == ("default", "wrote")
    with unit_of_work():
        assert read()[1] == "unit_of_work"


def test_what_it_wrote_the_request_around_it_reads_too(open_request: OpenUnit) -> None:
    with open_request("GET", "/"):
        with unit_of_work():
            Author.objects.create(name="Ada")
        assert read() == ("default", "wrote")


def test_a_block_inside_counts_and_one_around_does_not() -> None:
    with use_primary(), unit_of_work():
        assert read()[1] == "unit_of_work"
        with use_primary():
            assert read() == ("default", "use_primary")


def test_it_decorates_functions_and_coroutine_functions() -> None:
    @unit_of_work()
    def plain(number: int) -> tuple[int, str]:
        return number, read()[1]

    @unit_of_work()
    async def awaited(number: int) -> tuple[int, str]:
        await asyncio.sleep(0)
        return number, read()[1]

    async def both() -> list[tuple[int, str]]:
        return await asyncio.gather(awaited(1), awaited(2))

    assert plain(7) == (7, "unit_of_work")
    assert asyncio.run(both()) == [(1, "unit_of_work"), (2, "unit_of_work")]
    assert open_unit() is None


def test_a_coroutine_asks_the_primary_for_now_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def now() -> None:
        # As a query would.
        async_unsafe("a query")(threads.append)(threading.get_ident())

    monkeypatch.setattr("django_gmf_router.own_writes.jobs.token_of_now", now)

    @unit_of_work(read_after="now")
    async def decorated() -> str:
        return read()[1]

    async def both() -> tuple[str, str, bool]:
        async with unit_of_work(read_after="now"):
            inside = read()[1]
        return inside, await decorated(), open_unit() is None

    assert asyncio.run(both()) == ("unit_of_work", "unit_of_work", True)
    assert len(threads) == 2


def test_a_job_that_fails_leaves_nothing_behind() -> None:
    with pytest.raises(ValueError, match="no"), unit_of_work():
        raise ValueError("no")
    assert current_place.get() is NOWHERE


@pytest.mark.parametrize("token", ["expired", ""])
def test_a_token_that_is_none_sends_it_to_the_primary(token: str) -> None:
    with unit_of_work(read_after=token):
        assert read() == ("default", "consistency")


@pytest.mark.parametrize(
    ("level", "expected"),
    [(Level.STRONG, "use_primary"), (Level.SESSION, "consistency"), (Level.EVENTUAL, "unit_of_work")],
)
def test_each_level_reads_as_it_says(level: Level, expected: str) -> None:
    with Work("no token", "job", level):
        assert read()[1] == expected


def test_its_name_is_its_client_for_the_share() -> None:
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], "SHARE": 0.5}}):
        found: dict[str, set[Any]] = {}
        for number in range(40):
            for _ in range(2):
                with unit_of_work(name=f"job {number}"):
                    found.setdefault(f"job {number}", set()).add(read()[1])
    assert {reason for reasons in found.values() for reason in reasons} == {"share", "unit_of_work"}
    assert all(len(reasons) == 1 for reasons in found.values())


def test_nothing_is_kept_of_two_thousand_jobs() -> None:
    work = unit_of_work()
    for _ in range(2000):
        with work:
            router.db_for_read(Book)
    assert work._before == {}
    assert len(clusters.registry().clusters) == 1
