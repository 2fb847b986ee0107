"""Is a schema cloned on whichever server of a list takes writes, and in databases of odd settings?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.clone.databases import SMALL, Database, drop
from tests.cluster.sites import DRIVERS

LOCAL = "127.0.0.1"


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("options", [{}, {"hostaddr": f"{LOCAL},{LOCAL}"}])
def test_of_a_list_of_hosts_the_one_that_takes_writes_is_used(
    database: Database, driver: str, options: dict[str, str]
) -> None:
    database.cluster.wait_for_replay()
    ports = f"{database.cluster.port('replica_1')},{database.cluster.port('primary')}"
    options = {"target_session_attrs": "read-write", **options}
    env = database.environment(driver, HOST=f"{LOCAL},{LOCAL}", PORT=ports, OPTIONS=options)
    database.clone("main", "prod", env=env)


@pytest.fixture
def ascii_database(database: Database) -> Iterator[Database]:
    """A database that does not know which encoding its texts have."""
    made = Database(cluster=database.cluster, name=f"{database.name}_ascii")
    locale = "LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
    database.execute(f"CREATE DATABASE {made.name} OWNER gmf TEMPLATE template0 ENCODING SQL_ASCII {locale}")
    made.as_owner(SMALL)
    yield made
    drop(made)


def test_a_database_without_an_encoding_keeps_its_bytes(ascii_database: Database) -> None:
    ascii_database.as_owner(r"""
        INSERT INTO main.layer (name) VALUES (E'Z\xfcrich'), ('Zürich');
        DO $$ BEGIN EXECUTE E'COMMENT ON TABLE main.layer IS \'Z\xfcrich\''; END $$;
    """)
    ascii_database.clone("main", "prod")
    missing = "SELECT name::bytea FROM main.layer EXCEPT SELECT name::bytea FROM prod.layer"
    assert ascii_database.execute(missing) == []
    comments = "SELECT DISTINCT obj_description(c)::bytea FROM unnest('{main.layer,prod.layer}'::regclass[]) c"
    assert ascii_database.execute(comments) == [(r"\x5afc72696368",)]


def test_a_comment_is_kept_whatever_a_backslash_means(database: Database) -> None:
    database.execute(r"COMMENT ON SCHEMA main IS 'it''s a \ of C:\new'")
    database.execute(f"ALTER DATABASE {database.name} SET standard_conforming_strings = off")
    database.clone("main", "prod")
    database.clone("main", "prod", "--replace")
    database.clone("main", "prod", "--rollback")
    assert database.execute("SELECT obj_description('prod'::regnamespace)") == [(r"it's a \ of C:\new",)]
