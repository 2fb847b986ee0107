"""Does a clone take its target's place, come back from it, and keep as many backups as asked for?"""

from __future__ import annotations

import re

from tests.cluster.clone.databases import Database

BACKUP = re.compile(r"prod_\d{8}_\d{6}")


def backups(database: Database) -> list[str]:
    """Return the backups, the oldest first."""
    return [name for name in database.schemas() if BACKUP.fullmatch(name)]


def version(database: Database, number: int) -> None:
    """Tell the next copies apart."""
    database.as_owner(f"UPDATE main.layer SET name = 'version {number}' WHERE id = 1")


def shown(database: Database, schema: str = "prod") -> str:
    """Return which version a schema holds."""
    (row,) = database.execute(f"SELECT name FROM {schema}.layer WHERE id = 1")
    return str(row[0])


def test_an_existing_target_is_replaced_only_on_demand_and_kept(database: Database) -> None:
    version(database, 1)
    database.clone("main", "prod")
    first = database.schemas()["prod"]
    assert "The schema 'prod' exists: --replace keeps it" in database.refusal("main", "prod")

    version(database, 2)
    printed = database.clone("main", "prod", "--replace")
    (backup,) = backups(database)
    assert f"prod is now a copy of main; the former prod is kept as {backup}." in printed
    assert re.search(r"^\d+ tables, (rows unknown|.+ rows), \d+\.\d MB, in \d+\.\d s\.$", printed, re.MULTILINE)
    assert database.schemas()[backup] == first
    assert (shown(database), shown(database, backup)) == ("version 2", "version 1")
    assert [line.replace("prod", "main") for line in database.dump("prod")] == database.dump("main")


def test_replace_without_a_target_just_clones(database: Database) -> None:
    database.clone("main", "prod", "--replace")
    assert set(database.schemas()) == {"static", "main", "prod"}


def test_rollback_swaps_the_newest_backup_back_and_again(database: Database) -> None:
    for number in (1, 2, 3):
        version(database, number)
        database.clone("main", "prod", "--replace")
    newest = backups(database)[-1]
    before = database.schemas()
    plan = database.clone("main", "prod", "--rollback", "--dry-run")
    assert plan.splitlines()[1:] == ["rename prod to prod_<timestamp>", f"rename {newest} to prod"]
    assert database.schemas() == before
    assert f"{newest} is prod again; the former prod is kept as prod_" in database.clone("main", "prod", "--rollback")
    assert shown(database) == "version 2"
    assert [shown(database, backup) for backup in backups(database)] == ["version 1", "version 3"]
    database.clone("main", "prod", "--rollback")
    assert shown(database) == "version 3"


def test_rollback_needs_neither_the_source_nor_the_target(database: Database) -> None:
    database.clone("main", "prod")
    database.clone("main", "prod", "--replace")
    database.as_owner("DROP SCHEMA main CASCADE; DROP SCHEMA prod CASCADE")
    database.clone("main", "prod", "--rollback")
    assert set(database.schemas()) == {"static", "prod"}


def test_rollback_without_a_backup_is_refused(database: Database) -> None:
    database.clone("main", "prod")
    assert database.refusal("main", "prod", "--rollback").startswith("There is no backup of 'prod'")


def test_keep_drops_older_backups_but_none_on_which_something_outside_depends(database: Database) -> None:
    for number in (1, 2, 3):
        version(database, number)
        database.clone("main", "prod", "--replace")
    oldest, newer = backups(database)
    database.as_owner(f"CREATE VIEW static.archive AS SELECT * FROM {oldest}.layer")
    version(database, 4)
    printed = database.clone("main", "prod", "--replace", "--keep", "1")
    assert [shown(database, backup) for backup in backups(database)] == ["version 1", "version 3"]
    assert f"Dropped the backup {newer}." in printed
    assert f"Warning: {oldest} stays: outside it depend on it view static.archive." in printed


def test_a_schema_of_the_longest_name_is_cloned_replaced_and_rolled_back(database: Database) -> None:
    longest = "Ünï 'odd' \"." + "x" * 49
    assert len(longest.encode()) == 63
    quoted = '"' + longest.replace('"', '""') + '"'
    database.clone("main", longest)
    database.clone(longest, longest[:-1])
    database.clone("main", longest, "--replace")
    database.clone("main", longest, "--rollback")
    assert database.execute(f"SELECT count(*) FROM {quoted}.layer") == [("20",)]
    database.clone("main", longest, "--replace", "--keep", "0")
    assert set(database.schemas()) == {"static", "main", longest, longest[:-1]}


def test_the_copys_own_comment_comes_with_its_name(database: Database) -> None:
    database.as_owner("COMMENT ON SCHEMA main IS 'what it''s for'")
    database.clone("main", "prod")
    comment = "SELECT obj_description('{}'::regnamespace)"
    assert database.execute(comment.format("prod")) == [("what it's for",)]


def test_a_role_that_the_alias_assumes_owns_the_copy(database: Database) -> None:
    database.execute(f"""
        CREATE ROLE owner; GRANT owner TO gmf; GRANT CREATE ON DATABASE {database.name} TO owner;
        GRANT USAGE ON SCHEMA static TO owner; GRANT ALL ON static.users TO owner;
        ALTER SCHEMA main OWNER TO owner; ALTER TABLE main.layer OWNER TO owner;
    """)
    options = {"assume_role": "owner"}
    database.clone("main", "prod", env=database.environment(OPTIONS=options))
    owners = "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'prod'"
    assert database.execute(owners) == [("owner",)]
    assert [line.replace("prod", "main") for line in database.dump("prod")] == database.dump("main")
    database.execute("DROP OWNED BY owner; DROP ROLE owner")
