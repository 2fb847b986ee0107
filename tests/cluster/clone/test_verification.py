"""Is a copy that is not what it should be found out?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.utils import ConnectionHandler

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.management.commands.clone_schema import Lines
from django_gmf_router.schemas import session as clone_session
from django_gmf_router.schemas.cloning import backups, catalog, clone_plan
from django_gmf_router.schemas.cloning.building import build
from django_gmf_router.schemas.cloning.clone_plan import ClonePlan, CloneRequest
from django_gmf_router.schemas.cloning.verification import Expected, expect, verify
from django_gmf_router.schemas.session import Session
from django_gmf_router.testing import LocalCluster
from tests.cluster.clone.databases import SMALL, Database, create, drop

RICH = f"""{SMALL}
CREATE INDEX layer_name ON main.layer (name); CREATE VIEW main.v AS SELECT * FROM main.layer;
CREATE FUNCTION main.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON main.layer EXECUTE FUNCTION main.noted(); CREATE TYPE main.mood AS ENUM ('a');
CREATE MATERIALIZED VIEW main.filled AS SELECT 1 AS n;
CREATE TABLE main.behind (id serial PRIMARY KEY); INSERT INTO main.behind VALUES (7);
"""
DIFFERENCES = [
    ("DELETE FROM prod__new.layer WHERE id = 1", "rows are missing or too many: layer 19 of 20"),
    ("ALTER TABLE prod__new.layer ADD more int", r'not the same: table layer \("more" integer\)'),
    ("ALTER TABLE prod__new.layer ALTER name SET NOT NULL", r'not the same: table layer \("name" "text" NOT NULL\)'),
    ("ALTER TABLE prod__new.layer DROP CONSTRAINT layer_pkey", "not the same: constraint layer layer_pkey is missing"),
    ("DROP INDEX prod__new.layer_name", "not the same: index layer_name is missing"),
    ("DROP TRIGGER t ON prod__new.layer", "not the same: trigger layer t is missing"),
    ("ALTER TYPE prod__new.mood ADD VALUE 'b'", "not the same: type mood"),
    ("GRANT SELECT ON prod__new.layer TO PUBLIC", "not the same: acl TABLE layer is too many"),
    ("CREATE OR REPLACE VIEW prod__new.v AS SELECT * FROM main.layer", "in it rule _RETURN on view prod__new.v refers"),
    ("ALTER TABLE prod__new.layer ALTER id SET DEFAULT nextval('main.layer_id_seq')", "default layer id is missing"),
    ("SELECT setval('prod__new.layer_id_seq', 5)", "sequences are behind their columns: layer.id"),
    ("SELECT setval('prod__new.layer_id_seq', 20, false)", "sequences are behind their columns: layer.id"),
    ("REFRESH MATERIALIZED VIEW prod__new.filled WITH NO DATA", "rows are missing or too many: filled nothing of 1"),
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


@pytest.fixture(scope="module")
def database(_gmf_session_cluster: LocalCluster) -> Iterator[Database]:
    made = create(_gmf_session_cluster, "clone_verified", RICH)
    yield made
    drop(made)


@pytest.fixture
def opened(
    database: Database, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Session, ClonePlan, int, Session, Expected]]:
    """A copy that was built, a snapshot of its source, and what it shows."""
    engine = "django.db.backends.postgresql"
    settings = {**database.cluster.databases(engine=engine)["default"], "NAME": database.name}
    monkeypatch.setattr(clone_session, "connections", ConnectionHandler({"default": settings}))
    monkeypatch.setenv("GMF_PG_BINDIR", str(database.bin_dir))
    with django_db_blocker.unblock(), Session("default") as session, Session("default") as snapshot:
        made = clone_plan.make(session, CloneRequest(source="main", target="prod"))
        snapshot.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        with build(session, made, snapshot.value("SELECT pg_export_snapshot()"), Lines(lambda line: None)):
            expected = expect(session, made, snapshot)
        # What is left out of the build; the comparison is not about it.
        session.run(
            "ALTER TABLE prod__new.layer ADD CONSTRAINT layer_user_id_fkey FOREIGN KEY (user_id) "
            "REFERENCES static.users"
        )
        copy = catalog.schema_oid(session, made.building)
        assert copy is not None
        yield session, made, copy, snapshot, expected
        snapshot.run("ROLLBACK")
        backups.remove(session, made.building)


def test_a_faithful_copy_passes_and_a_sequence_that_was_behind_is_told(opened: Any) -> None:
    assert verify(*opened) == ["sequences are behind their columns, as in main: behind.id"]


@pytest.mark.parametrize(("sql", "message"), DIFFERENCES)
def test_a_difference_is_named(database: Database, opened: Any, sql: str, message: str) -> None:
    database.as_owner(sql)
    with pytest.raises(CloneRefused, match=message):
        verify(*opened)


@pytest.mark.parametrize(("sql", "message"), REFERENCES)
def test_a_reference_into_the_source_is_named(database: Database, opened: Any, sql: str, message: str) -> None:
    session, made, copy, *_ = opened
    assert catalog.references(session, copy, made.source_oid) == []
    database.as_owner(sql)
    assert message in "; ".join(catalog.references(session, copy, made.source_oid))
