"""Is said how far a clone is, and does it end when it cannot go on?"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.schemas import session as clone_session
from django_gmf_router.schemas.cloning import backups, building, catalog, clone, psql, verification
from django_gmf_router.schemas.cloning.building import Copying
from django_gmf_router.schemas.cloning.clone_plan import CloneRequest
from django_gmf_router.schemas.cloning.verification import Expected
from django_gmf_router.schemas.session import PROGRAMS, Session
from tests.cluster.clone.databases import SMALL, Database
from tests.waiting import until

LARGE = f"""{SMALL} CREATE TABLE main."Zone" (a text); CREATE TABLE main.empty (a int); CREATE TABLE main.zone (a text);
ALTER TABLE main.zone SET (autovacuum_enabled = off);
INSERT INTO main.zone SELECT repeat('x', 1000) FROM generate_series(1, 50000);
INSERT INTO main.layer (name) SELECT repeat('y', 1000) FROM generate_series(1, 5000);
"""
pytestmark = pytest.mark.usefixtures("here")


class Shown:
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.parts: list[tuple[str, float]] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def at(self, text: str, part: float) -> None:
        self.parts.append((text, part))


@pytest.mark.parametrize("database", [LARGE], indirect=True)
def test_which_table_of_how_many_is_copied_and_how_much_is_done_though_nobody_counted_rows(database: Database) -> None:
    shown = Shown()
    dsn = f"{database.cluster.dsn('primary')} dbname={database.name}"
    with Session("default") as session, psycopg.connect(dsn, application_name=PROGRAMS) as dumping:
        copying = Copying(session, catalog.schema_oid(session, "main") or 0, shown)

        def reported() -> bool:
            copying.report()
            return bool(shown.parts)

        with dumping.cursor().copy("COPY main.zone TO STDOUT") as copy:
            # It goes on as far as nobody reads.
            assert copy.read()
            until(reported)
            text, part = shown.parts[0]
            assert text.startswith("zone, table 4 of 4, ")
            assert "of about" not in text
            assert 0.08 < part < 0.5
            database.as_owner("ANALYZE main.zone")
            copying.report()
            assert shown.parts[-1][0].endswith(" of about 50,000 rows")
            for _ in copy:
                pass


def test_the_steps_are_told_and_which_table_is_analyzed(database: Database) -> None:
    database.as_owner("CREATE TABLE main.zone (a int)")
    shown = Shown()
    clone.clone("default", CloneRequest(source="main", target="prod"), shown)
    assert shown.steps == [
        "copying main to prod__new",
        "building the indexes and constraints of prod__new",
        "adding 1 foreign keys to tables outside",
        "analyzing prod__new",
        "verifying prod__new",
    ]
    analyzed = [(text, part) for text, part in shown.parts if "rows" not in text]
    assert analyzed == [("layer, table 1 of 2", 0.0), ("zone, table 2 of 2", 0.5)]


def test_rows_that_nobody_counted_are_unknown(database: Database) -> None:
    database.as_owner("ALTER TABLE main.layer SET (autovacuum_enabled = off)")

    def copied() -> str:
        lines = clone.explain("default", CloneRequest(source="main", target="prod"))
        return lines[0].partition(": ")[2].rpartition(",")[0]

    assert copied() == "1 tables, rows unknown"
    database.as_owner("ANALYZE main.layer")
    assert copied() == "1 tables, about 20 rows"
    database.as_owner("CREATE TABLE main.zone (a int) WITH (autovacuum_enabled = off)")
    assert copied() == "2 tables, at least 20 rows"


ENDS = r"(LOCK TABLE|lock timeout|stayed locked for 0\.5 s).*: end the long transactions there, then try again\."


@pytest.mark.parametrize("sql", ["LOCK TABLE main.layer", "GRANT USAGE ON SCHEMA main TO pg_monitor"])
def test_what_stays_locked_from_the_beginning_ends_the_clone(
    database: Database, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    for module in (psql, clone_session, building):
        monkeypatch.setattr(module, "LOCK_WAIT_MS", 500)
    with database.holding(sql), pytest.raises(CloneRefused, match=ENDS):
        clone.clone("default", CloneRequest(source="main", target="prod"), Shown())
    assert set(database.schemas()) == {"static", "main"}


@pytest.mark.parametrize("place", ["the definitions", "the rows"])
def test_a_table_that_stays_locked_while_the_copy_is_verified_ends_the_clone(
    database: Database, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    expect = verification.expect
    if place == "the rows":
        monkeypatch.setattr(verification, "_dump", lambda *_args: "")
    for module in (psql, clone_session):
        monkeypatch.setattr(module, "LOCK_WAIT_MS", 500)

    def expect_locked(*args: Any) -> Expected:
        with database.holding("LOCK TABLE main.layer"):
            return expect(*args)

    monkeypatch.setattr(clone, "expect", expect_locked)
    with pytest.raises(
        CloneRefused,
        match=ENDS,
    ):
        clone.clone("default", CloneRequest(source="main", target="prod"), Shown())
    assert set(database.schemas()) == {"static", "main"}


def test_a_cancel_that_comes_late_does_not_keep_the_copy_from_being_removed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, cancelled = backups.remove, []

    def remove_cancelled(session: Session, name: str) -> None:
        if not cancelled:
            cancelled.append(name)
            # The server cancels the statement that asks for it, as it would one that a cancel meets by chance.
            session.run("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(30)")
        remove(session, name)

    def interrupted(*_args: Any) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(backups, "remove", remove_cancelled)
    monkeypatch.setattr(clone, "verify", interrupted)
    with pytest.raises(KeyboardInterrupt):
        clone.clone("default", CloneRequest(source="main", target="prod"), Shown())
    assert cancelled
    assert set(database.schemas()) == {"static", "main"}
