"""Is a copy that is not what it should be found out?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.db.utils import ConnectionHandler

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.schemas.cloning import catalog, plan, sessions
from django_gmf_router.schemas.cloning.building import build
from django_gmf_router.schemas.cloning.plan import Plan, Request
from django_gmf_router.schemas.cloning.sessions import Session
from django_gmf_router.schemas.cloning.verification import verify
from django_gmf_router.testing import LocalCluster
from tests.cluster.clone.databases import SMALL, Database, create, drop

RICH = f"""{SMALL}
CREATE INDEX layer_name ON main.layer (name); CREATE VIEW main.v AS SELECT * FROM main.layer;
CREATE FUNCTION main.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON main.layer EXECUTE FUNCTION main.noted(); CREATE TYPE main.mood AS ENUM ('a');
CREATE TABLE main.behind (id serial PRIMARY KEY); INSERT INTO main.behind VALUES (7);
"""
DIFFERENCES = [
    ("DELETE FROM prod__new.layer WHERE id = 1", "rows are missing or too many: layer 19 of 20"),
    ("ALTER TABLE prod__new.layer ADD more int", "not the same: column layer.more"),
    ("ALTER TABLE prod__new.layer ALTER name SET NOT NULL", "column layer.name"),
    ("ALTER TABLE prod__new.layer DROP CONSTRAINT layer_pkey", "not the same: .*constraint layer.layer_pkey"),
    ("DROP INDEX prod__new.layer_name", "not the same: index layer_name"),
    ("DROP TRIGGER t ON prod__new.layer", "not the same: trigger layer.t"),
    ("ALTER TYPE prod__new.mood ADD VALUE 'b'", "not the same: type mood"),
    ("GRANT SELECT ON prod__new.layer TO PUBLIC", "not the same: relation layer"),
    ("CREATE OR REPLACE VIEW prod__new.v AS SELECT * FROM main.layer", "not the same: rule v._RETURN"),
    ("ALTER TABLE prod__new.layer ALTER id SET DEFAULT nextval('main.layer_id_seq')", "not the same: column layer.id"),
    ("SELECT setval('prod__new.layer_id_seq', 5)", "sequences are behind their columns: layer.id"),
    ("SELECT setval('prod__new.layer_id_seq', 20, false)", "sequences are behind their columns: layer.id"),
]
REFERENCES = [
    ("CREATE VIEW prod__new.w AS SELECT * FROM main.layer", "rule _RETURN on view prod__new.w refers to"),
    ("CREATE TABLE prod__new.r (a int REFERENCES main.layer)", "r_a_fkey on table prod__new.r refers to"),
    ("CREATE TABLE prod__new.r (a main.mood)", "column a of table prod__new.r refers to type main.mood"),
    (
        "CREATE TRIGGER u BEFORE INSERT ON prod__new.layer EXECUTE FUNCTION main.noted()",
        "refers to function main.noted()",
    ),
    ("CREATE POLICY p ON prod__new.layer USING (id IN (SELECT id FROM main.layer))", "policy p on table"),
    ("ALTER TABLE prod__new.behind ALTER id SET DEFAULT nextval('main.layer_id_seq')", "default value for column id"),
]
Changed = Callable[[str], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def database(_gmf_session_cluster: LocalCluster) -> Iterator[Database]:
    made = create(_gmf_session_cluster, "clone_verified", RICH)
    yield made
    drop(made)


@pytest.fixture(scope="module")
def opened(database: Database, django_db_blocker: Any) -> Iterator[tuple[Session, Plan, int, Session]]:
    """A copy that was built, and a snapshot of its source."""
    engine = "django.db.backends.postgresql"
    settings = {**database.cluster.databases(engine=engine)["default"], "NAME": database.name}
    with pytest.MonkeyPatch.context() as patch, django_db_blocker.unblock():
        patch.setattr(sessions, "connections", ConnectionHandler({"default": settings}))
        patch.setenv("GMF_PG_BINDIR", str(database.bin_dir))
        with Session("default") as session, Session("default") as snapshot:
            made = plan.make(session, Request(source="main", target="prod"))
            snapshot.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            build(session, made, snapshot.value("SELECT pg_export_snapshot()"), lambda: None)
            # What is left out of the build; the comparison is not about it.
            session.run(
                "ALTER TABLE prod__new.layer ADD CONSTRAINT layer_user_id_fkey FOREIGN KEY (user_id) "
                "REFERENCES static.users"
            )
            copy = catalog.schema_oid(session, made.building)
            assert copy is not None
            yield session, made, copy, snapshot


@pytest.fixture
def changed(opened: Any) -> Changed:
    """Change the copy for the time of a block."""

    @contextmanager
    def change(sql: str) -> Iterator[None]:
        session = opened[0]
        session.run("BEGIN")
        session.rows(sql) if sql.startswith("SELECT") else session.run(sql)
        try:
            yield
        finally:
            session.run("ROLLBACK")
            session.rows("SELECT setval('prod__new.layer_id_seq', 20)")

    return change


def test_a_faithful_copy_passes_and_a_sequence_that_was_behind_is_told(opened: Any) -> None:
    session, made, copy, snapshot = opened
    assert verify(session, made, copy, snapshot) == ["sequences are behind their columns, as in main: behind.id"]


@pytest.mark.parametrize(("sql", "message"), DIFFERENCES)
def test_a_difference_is_named(opened: Any, changed: Changed, sql: str, message: str) -> None:
    session, made, copy, snapshot = opened
    with changed(sql), pytest.raises(CloneRefused, match=message):
        verify(session, made, copy, snapshot)


@pytest.mark.parametrize(("sql", "message"), REFERENCES)
def test_a_reference_into_the_source_is_named(opened: Any, changed: Changed, sql: str, message: str) -> None:
    session, made, copy, _ = opened
    assert catalog.references(session, copy, made.source_oid) == []
    with changed(sql):
        assert message in "; ".join(catalog.references(session, copy, made.source_oid))
