"""Does a dry run tell what would move, and what a site should look at before?"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client, override_settings

from django_gmf_router import clusters, unit_of_work, use_primary
from django_gmf_router.routing.rehearsal import Rehearsal, Rehearsed, rehearsed
from tests.books.models import Author, Book
from tests.conftest import OpenUnit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    entry = {"DRY_RUN": True, "DB_CHOOSER": {"master": ["GET /mine"]}}
    with override_settings(BASE_DIR=tmp_path, GMF_ROUTER={"default": entry}):
        yield tmp_path / ".gmf_rehearsal"


def rehearsal() -> Rehearsal:
    writes = clusters.registry().clusters[0].writes
    assert isinstance(writes, Rehearsal)
    return writes


@pytest.fixture
def counted() -> Callable[[], Rehearsed]:
    def counted_now() -> Rehearsed:
        rehearsal().keep()
        return rehearsed("default")

    return counted_now


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("gmf_rehearse", *arguments, stdout=out)
    return out.getvalue()


def test_each_read_is_counted_by_its_view_and_why_it_stays(
    open_request: OpenUnit, counted: Callable[[], Rehearsed]
) -> None:
    for _ in range(2):
        with open_request("GET", "/page"):
            for _ in range(3):
                list(Book.objects.select_related("author"))
            assert not Author.objects.filter(name="Ada").exists()
            list(Book.objects.raw("SELECT * FROM library_book"))
            with use_primary():
                Author.objects.count()
    with open_request("POST", "/page"):
        list(Book.objects.all())
    with unit_of_work(name="nightly"):
        list(Book.objects.all())
    # What no unit of work is open for is not a site's traffic.
    list(Book.objects.all())
    found = {view.view: view for view in counted().views}
    assert set(found) == {"GET /page", "POST /page", "job nightly"}
    page = found["GET /page"]
    assert (page.requests, page.reads, page.replica, page.primary) == (2, 12, 10, {"use_primary": 2})
    assert found["POST /page"].primary == {"write_method": 1}
    assert found["job nightly"].replica == 1
    assert counted().share == pytest.approx(11 / 14)


def test_the_view_is_named_by_its_route(counted: Callable[[], Rehearsed]) -> None:
    Client().get("/where")
    assert [view.view for view in counted().views] == ["GET where"]


def test_a_get_that_writes_is_named_with_the_pattern_that_sends_it_away(counted: Callable[[], Rehearsed]) -> None:
    Client().get("/write")
    (hazard,) = counted().writes
    assert (hazard.view, hazard.what, hazard.pattern) == ("GET write", "INSERT library.Author", "(GET|HEAD) /write$")
    assert counted().settings(clusters.registry().clusters[0].config) == {
        "REPLICAS": ["replica_1"],
        "DB_CHOOSER": {"master": ["GET /mine", "(GET|HEAD) /write$"]},
    }


def test_a_statement_on_a_connection_is_named_by_its_line(
    open_request: OpenUnit, counted: Callable[[], Rehearsed]
) -> None:
    with open_request("GET", "/page"):
        list(Book.objects.all())
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM library_book")
            cursor.execute("SELECT count(*) FROM library_book")
    found = counted()
    assert [(hazard.what.partition(":")[0].rpartition("/")[2], hazard.count) for hazard in found.by_hand] == [
        ("test_rehearsal.py", 1),
        ("test_rehearsal.py", 1),
    ]
    assert found.views[0].primary == {"by hand": 2}
    assert found.share == pytest.approx(1 / 3)


def test_reads_of_what_their_client_has_just_written_are_counted_by_the_lag(
    open_request: OpenUnit, counted: Callable[[], Rehearsed], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with open_request("POST", "/save") as unit:
        Author.objects.create(name="Ada")
        assert unit.request is not None
    now[0] += 2
    with open_request("GET", "/page"):
        list(Book.objects.select_related("author"))
        list(Book.objects.all())
    with open_request("GET", "/page") as unit:
        assert unit.request is not None
        unit.request.META["REMOTE_ADDR"] = "another client's"
        list(Book.objects.select_related("author"))
    assert counted().stale == {"0.1": 0, "1.0": 0, "5.0": 1, "30.0": 1}


def test_a_primary_model_stays(open_request: OpenUnit, counted: Callable[[], Rehearsed]) -> None:
    entry = {"DRY_RUN": True, "PRIMARY_MODELS": ["auth.User"]}
    with override_settings(GMF_ROUTER={"default": entry}):
        with open_request("GET", "/page"):
            User.objects.count()
        assert counted().views[0].primary == {"primary_model": 1}


def test_processes_are_added_up(open_request: OpenUnit, counted: Callable[[], Rehearsed], folder: Path) -> None:
    with open_request("GET", "/page"):
        list(Book.objects.all())
    assert counted().processes == 1
    (file,) = folder.iterdir()
    (folder / "default-1-1.json").write_text(file.read_text())
    found = counted()
    assert (found.processes, found.views[0].requests, found.views[0].reads) == (2, 2, 2)
    (folder / "default-1-1.json").write_text(json.dumps({**json.loads(file.read_text()), "cluster": "other"}))
    assert counted().processes == 1


def test_a_process_that_forks_leaves_its_counts_to_itself(
    open_request: OpenUnit, counted: Callable[[], Rehearsed], folder: Path
) -> None:
    with open_request("GET", "/page"):
        list(Book.objects.all())
    child = os.fork()
    if not child:
        with open_request("GET", "/other"):
            list(Book.objects.all())
        rehearsal().keep()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    found = counted()
    assert found.processes == 2
    assert {view.view: view.requests for view in found.views} == {"GET /page": 1, "GET /other": 1}


def test_the_command_prints_it_and_forgets_it(folder: Path) -> None:
    with pytest.raises(CommandError, match=r"Nothing was counted yet in .*\.gmf_rehearsal: set DRY_RUN"):
        printed()
    Client().get("/write")
    rehearsal().keep()
    text = printed()
    assert "of the reads could move to replicas" in text
    assert "GET write: INSERT library.Author, 1 times; master: (GET|HEAD) /write$" in text
    assert "GMF_ROUTER['default'] = {'REPLICAS': ['replica_1']," in text
    (as_json,) = json.loads(printed("--json"))
    assert as_json["views"][0]["view"] == "GET write"
    assert printed("--forget") == ""
    assert list(folder.iterdir()) == []


def test_what_is_no_count_is_told_in_one_line(folder: Path) -> None:
    folder.mkdir()
    (folder / "default-1-1.json").write_text("{")
    with pytest.raises(CommandError, match=r"default-1-1\.json .* --forget"):
        printed()


def test_a_folder_that_cannot_be_written_fails_no_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, folder: Path
) -> None:
    folder.write_text("a file stands in the way")
    for _ in range(2):
        assert Client().get("/where").status_code == 200
        rehearsal().keep()
    assert [vars(record)["event"] for record in caplog.records if record.name == "django_gmf_router"] == ["rehearsal"]
