"""Is what cannot be cloned refused early, in one clear line, and nothing changed?"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_gmf_router.schemas.cloning.backups import MARK
from django_gmf_router.schemas.session import KEY
from django_gmf_router.testing import LocalCluster
from tests.cluster.clone.databases import SMALL, Database, create, drop

LONG = "x" * 64
NAMES = [
    ("nowhere", "prod", "There is no schema 'nowhere' in the database"),
    ("main", "main", "SOURCE and TARGET are both 'main': name another TARGET."),
    ("main", "pg_prod", "The schema name 'pg_prod' belongs to PostgreSQL itself"),
    ("pg_catalog", "prod", "The schema name 'pg_catalog' belongs to PostgreSQL itself"),
    ("information_schema", "prod", "The schema name 'information_schema' belongs to PostgreSQL itself"),
    ("main", "public", "The schema 'public' is every database's own"),
    ("public", "prod", "The schema 'public' is every database's own"),
    ("main", LONG, "has 64 bytes, PostgreSQL takes 63: choose a shorter one."),
    ("main", "", "is no schema name"),
    ("main", "a\nb", "holds a character that cannot be printed"),
]
# What is made outside TARGET, and how the refusal names it.
OUTSIDERS = [
    ("CREATE VIEW static.v AS SELECT * FROM prod.layer", "view static.v"),
    ("CREATE MATERIALIZED VIEW static.m AS SELECT * FROM prod.v", "materialized view static.m"),
    (
        "CREATE FUNCTION static.f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM prod.layer; END",
        "function static.f()",
    ),
    ("CREATE TABLE static.t (a prod.mood)", "column a of table static.t"),
    ("CREATE TABLE static.t (a prod.layer[])", "column a of table static.t"),
    (
        "CREATE TABLE static.t (a int DEFAULT nextval('prod.layer_id_seq'))",
        "default value for column a of table static.t",
    ),
    (
        "ALTER TABLE static.users ADD layer int REFERENCES prod.layer",
        "constraint users_layer_fkey on table static.users",
    ),
    (
        "CREATE TRIGGER t BEFORE INSERT ON static.users EXECUTE FUNCTION prod.noted()",
        "trigger t on table static.users",
    ),
    (
        "CREATE POLICY p ON static.users USING (id IN (SELECT user_id FROM prod.layer))",
        "policy p on table static.users",
    ),
    ("CREATE TABLE static.heir () INHERITS (prod.layer)", "table static.heir"),
    ("RESET ROLE; CREATE PUBLICATION news FOR TABLE prod.layer", "publication of table prod.layer in publication news"),
    (
        "RESET ROLE; CREATE PUBLICATION news FOR TABLES IN SCHEMA prod",
        "publication of schema prod in publication news",
    ),
]
RICH = (
    SMALL
    + """
CREATE TYPE main.mood AS ENUM ('glad'); CREATE VIEW main.v AS SELECT * FROM main.layer;
CREATE FUNCTION main.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
"""
)


@pytest.fixture(scope="module")
def shared(_gmf_session_cluster: LocalCluster) -> Iterator[Database]:
    """A database that no test of this module changes."""
    made = create(_gmf_session_cluster, "clone_refusals", RICH)
    yield made
    drop(made)


@pytest.mark.parametrize(("source", "target", "message"), NAMES)
def test_names(shared: Database, source: str, target: str, message: str) -> None:
    assert message in shared.refusal(source, target)


@pytest.mark.parametrize("database", [RICH.replace("main", "prod") + "; CREATE SCHEMA main"], indirect=True)
def test_objects_outside_that_depend_on_the_target_are_named(database: Database) -> None:
    for sql, named in OUTSIDERS:
        database.as_owner(f"BEGIN; {sql}; COMMIT")
        line = database.refusal("main", "prod", "--replace")
        assert line.startswith("Outside the schema 'prod' depend on it: ")
        assert named in line
        assert line.endswith(". Drop or move these first.")
        database.execute("""
            DROP PUBLICATION IF EXISTS news; DROP TRIGGER IF EXISTS t ON static.users;
            DROP POLICY IF EXISTS p ON static.users; ALTER TABLE static.users DROP COLUMN IF EXISTS layer;
            DROP VIEW IF EXISTS static.v; DROP MATERIALIZED VIEW IF EXISTS static.m; DROP FUNCTION IF EXISTS static.f;
            DROP TABLE IF EXISTS static.t, static.heir;
        """)
    database.clone("main", "prod", "--replace")


def test_an_extension_inside_the_source(database: Database) -> None:
    available = "SELECT name FROM pg_available_extension_versions WHERE relocatable AND requires IS NULL LIMIT 1"
    ((name,),) = database.execute(available)
    database.execute(f"CREATE EXTENSION {name} SCHEMA main")
    line = database.refusal("main", "prod")
    assert f"In the schema 'main' are extensions: {name}. ALTER EXTENSION ... SET SCHEMA public first." in line
    # As PostGIS is.
    database.execute(f"UPDATE pg_extension SET extrelocatable = false WHERE extname = '{name}'")
    assert f"Move these first; {name} refuses ALTER EXTENSION ... SET SCHEMA: the docs" in database.refusal(
        "main", "prod"
    )
    database.as_owner("ALTER SCHEMA main RENAME TO prod; CREATE SCHEMA main")
    assert f"In the schema 'prod' are extensions: {name}." in database.refusal("main", "prod", "--replace")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE TABLE main.heir () INHERITS (static.users)", "main.heir is a child of static.users"),
        ("CREATE TABLE static.heir () INHERITS (main.layer)", "static.heir is a child of main.layer"),
    ],
)
def test_inheritance_through_the_border(database: Database, sql: str, message: str) -> None:
    database.as_owner(sql)
    assert message in database.refusal("main", "prod")


def test_no_client_programs_of_the_servers_version(shared: Database, tmp_path: Path) -> None:
    line = shared.refusal("main", "prod", env={**shared.environment(), "GMF_PG_BINDIR": str(tmp_path)})
    assert line == f"GMF_PG_BINDIR is {tmp_path}, where pg_dump is missing: correct it or leave it out"
    for name in ("pg_dump", "pg_restore", "psql"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 9.6.1'\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    line = shared.refusal("main", "prod", env={**shared.environment(), "GMF_PG_BINDIR": str(tmp_path)})
    assert line.startswith(f"GMF_PG_BINDIR is {tmp_path}, which holds PostgreSQL 9, not ")


def test_the_programs_are_found_on_the_path(database: Database) -> None:
    env = {**database.environment(), "PATH": f"{database.bin_dir}{os.pathsep}{os.environ['PATH']}"}
    del env["GMF_PG_BINDIR"]
    database.clone("main", "prod", env=env)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (
            "REVOKE CREATE ON DATABASE {name} FROM gmf; ALTER DATABASE {name} OWNER TO postgres",
            "may not create schemas",
        ),
        ("ALTER SCHEMA main OWNER TO postgres", "'gmf' does not own the schema 'main'"),
        ("ALTER TABLE main.layer OWNER TO postgres; GRANT SELECT ON main.layer TO gmf", "layer of postgres"),
        ("REVOKE SELECT ON main.layer FROM gmf", "cannot read all rows of 'main': layer."),
        (
            "ALTER TABLE main.layer ENABLE ROW LEVEL SECURITY; ALTER TABLE main.layer FORCE ROW LEVEL SECURITY",
            "cannot read all rows of 'main': layer.",
        ),
        ("REVOKE REFERENCES ON static.users FROM gmf", "REFERENCES on tables that 'main' refers to: static.users."),
    ],
)
def test_a_role_without_the_rights(database: Database, sql: str, message: str) -> None:
    database.execute(sql.format(name=database.name))
    assert message in database.refusal("main", "prod")


def test_another_command_that_changes_schemas(shared: Database) -> None:
    before = shared.schemas()
    with shared.holding(f"SELECT pg_advisory_xact_lock({KEY})"):
        assert "Another gmf_migrate or clone_schema works on the database" in shared.refusal("main", "prod")
    assert shared.schemas() == before


def test_a_stranger_under_the_name_of_the_copy(database: Database) -> None:
    for sql in ("CREATE SCHEMA prod__new", "CREATE TABLE prod__new.precious (a int)"):
        database.as_owner(sql)
        assert "The schema 'prod__new' was not left by clone_schema" in database.refusal("main", "prod")
    database.as_owner(f"COMMENT ON SCHEMA prod__new IS '{MARK}'")
    assert "removing prod__new, which a killed clone left" in database.clone("main", "prod")


def test_more_relations_than_the_server_has_locks_for() -> None:
    with LocalCluster(0) as cluster:
        cluster.execute("primary", "ALTER SYSTEM SET max_locks_per_transaction = 10")
        cluster.restart("primary")
        database = create(cluster, "crowded")
        for start in range(0, 400, 100):
            tables = range(start, start + 100)
            database.as_owner(
                "BEGIN;" + "".join(f"CREATE TABLE main.t{n} (a text PRIMARY KEY);" for n in tables) + "COMMIT"
            )
        # What functions take stands in no table of relations.
        ((room,),) = database.execute("SELECT 10 * current_setting('max_connections')::int")
        functions = "".join(
            f"CREATE FUNCTION code.f{n}() RETURNS int LANGUAGE sql AS 'SELECT 1';" for n in range(2 * int(room))
        )
        database.as_owner(f"BEGIN; CREATE SCHEMA code; {functions} COMMIT")
        assert "set max_locks_per_transaction to " in database.refusal("code", "prod")
        line = database.refusal("main", "prod")
        assert "set max_locks_per_transaction to " in line
        wanted = int(line.partition("set max_locks_per_transaction to ")[2].split()[0])
        cluster.execute("primary", f"ALTER SYSTEM SET max_locks_per_transaction = {wanted}")
        cluster.restart("primary")
        database.clone("main", "prod")


def test_what_all_servers_share_is_not_replaced_nor_put_in_the_place_of_a_main_schema(shared: Database) -> None:
    env = shared.environment(router={"SCHEMAS": {"MAIN": "main", "STATIC": "static", "STATIC_APPS": []}})
    for source, target in (("static", "main"), ("main", "static")):
        for options in (("--replace",), ("--replace", "--dry-run")):
            line = shared.refusal(source, target, *options, env=env)
            assert line.startswith("The schema 'static' is shared by all servers (GMF_ROUTER['default']['SCHEMAS'])")
    shared.clone("static", "archive", "--dry-run", env=env)


def test_options_that_make_no_sense(shared: Database) -> None:
    assert "is no number of backups" in shared.refusal("main", "prod", "--keep", "-1")
    assert "There is no alias 'nobody'" in shared.refusal("main", "prod", "--database", "nobody")
    assert "name one of them" in shared.refusal("main", "prod", "--rollback", "--replace")
    assert "is a replica: name its primary" in shared.refusal("main", "prod", "--database", "replica_1")


def test_a_primary_that_is_a_replica(shared: Database) -> None:
    shared.cluster.wait_for_replay()
    env = shared.environment(PORT=shared.cluster.port("replica_1"))
    assert "This server is a replica" in shared.refusal("main", "prod", env=env)


def test_a_server_that_does_not_answer(shared: Database) -> None:
    done = shared.run("main", "prod", env=shared.environment(PORT=1))
    assert (done.returncode, done.stdout) == (1, "")
    log, line = done.stderr.splitlines()
    assert log.startswith("The primary default is down: connection ")
    assert log.endswith("port 1 failed: Connection refused")
    assert line.startswith("CommandError: The primary 'default' does not answer")


def test_a_dry_run_says_what_would_be_done_and_does_nothing(database: Database) -> None:
    database.clone("main", "prod")
    before = database.schemas()
    printed = database.clone("main", "prod", "--replace", "--keep", "2", "--dry-run")
    assert printed.splitlines()[0].startswith("copy main to prod__new: 1 tables, ")
    assert "add the foreign key layer_user_id_fkey of layer to static.users" in printed
    assert "rename prod to prod_<timestamp>\nrename prod__new to prod" in printed
    assert database.schemas() == before
