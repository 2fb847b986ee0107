"""Are backups nobody's burden, whole when they come back, and only what clone_schema made?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.utils import ConnectionHandler

from django_gmf_router.schemas import session as clone_session
from django_gmf_router.schemas.cloning import backups
from django_gmf_router.schemas.session import Session
from tests.cluster.clone.databases import EVERYTHING, Database
from tests.cluster.clone.test_copy import ROLE
from tests.cluster.clone.test_replace import backups as names_of_backups

LEAVING = """
SELECT count(*) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid
WHERE k.contype = 'f' AND c.relnamespace = '{}'::regnamespace AND r.relnamespace <> c.relnamespace
"""


@pytest.fixture
def session(database: Database, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session of the clone's in this process."""
    engine = "django.db.backends.postgresql"
    settings = {**database.cluster.databases(engine=engine)["default"], "NAME": database.name}
    monkeypatch.setattr(clone_session, "connections", ConnectionHandler({"default": settings}))
    with django_db_blocker.unblock(), Session("default") as opened:
        yield opened


def test_a_backup_holds_no_row_of_the_static_schema(database: Database) -> None:
    database.clone("main", "prod")
    database.clone("main", "prod", "--replace")
    database.clone("main", "prod", "--replace")
    database.clone("main", "prod", "--rollback")
    assert len(names_of_backups(database)) == 2
    database.as_owner(
        "UPDATE main.layer SET user_id = NULL; UPDATE prod.layer SET user_id = NULL; DELETE FROM static.users"
    )


def test_the_plan_tells_of_the_foreign_keys_that_go_and_come(database: Database) -> None:
    database.clone("main", "prod")
    plan = database.clone("main", "prod", "--replace", "--dry-run")
    assert "drop 1 foreign keys of the former prod to tables outside" in plan
    database.clone("main", "prod", "--replace")
    plan = database.clone("main", "prod", "--rollback", "--dry-run")
    assert plan.splitlines()[0] == "add the foreign key layer_user_id_fkey of layer to static.users"


def test_a_backup_comes_back_with_all_its_foreign_keys_and_its_comment(database: Database) -> None:
    database.execute(ROLE)
    database.as_owner(f"DROP SCHEMA main CASCADE; DROP SCHEMA static CASCADE; {EVERYTHING.read_text()}")
    database.clone("main", "prod")
    before = database.dump("prod")
    database.as_owner("COMMENT ON SCHEMA main IS 'another'")
    database.clone("main", "prod", "--replace")
    (backup,) = names_of_backups(database)
    assert database.execute(LEAVING.format(backup)) == [("0",)]
    printed = database.clone("main", "prod", "--rollback")
    assert "Warning" not in printed
    assert database.dump("prod") == before


def test_a_backup_comes_back_though_rows_that_it_refers_to_are_gone(database: Database) -> None:
    database.clone("main", "prod")
    database.clone("main", "prod", "--replace")
    database.as_owner(
        "UPDATE main.layer SET user_id = 1; UPDATE prod.layer SET user_id = 1; DELETE FROM static.users WHERE id = 2"
    )
    printed = database.clone("main", "prod", "--rollback")
    key = "the foreign key layer_user_id_fkey of layer to static.users"
    assert f"Warning: {key} holds for new rows only: rows refer to what was deleted" in printed
    assert database.execute("SELECT count(*) FROM prod.layer WHERE user_id = 2") == [("10",)]
    with pytest.raises(Exception, match="layer_user_id_fkey"):
        database.as_owner("INSERT INTO prod.layer (user_id) VALUES (2)")


def test_a_backup_comes_back_though_a_table_that_it_refers_to_is_gone(database: Database) -> None:
    database.clone("main", "prod")
    database.as_owner("ALTER TABLE main.layer DROP COLUMN user_id")
    database.clone("main", "prod", "--replace")
    database.as_owner("DROP TABLE static.users")
    printed = database.clone("main", "prod", "--rollback")
    assert 'of layer to static.users is missing: relation "static.users" does not exist' in printed


def test_foreign_keys_that_stayed_for_a_lock_are_told_and_go_with_the_next_run(
    database: Database, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.clone("main", "prod")
    database.clone("main", "prod", "--replace")
    (backup,) = names_of_backups(database)
    database.as_owner(f"ALTER TABLE {backup}.layer ADD CONSTRAINT again FOREIGN KEY (user_id) REFERENCES static.users")
    monkeypatch.setattr(clone_session, "PATIENCE_SECONDS", 0.5)
    with database.holding("UPDATE static.users SET id = id"):
        (line,) = backups.release(session, "prod")
    assert line.startswith(f"rows that {backup} refers to cannot be deleted, until the next run: could not drop")
    database.clone("main", "prod", "--rollback")
    assert database.execute(LEAVING.format(names_of_backups(database)[0])) == [("0",)]


STRANGERS = ("prod_20250101_120000", "prod_99999999_999999", "prod_99991231_235959")


def test_a_schema_that_clone_schema_never_made_is_no_backup_whatever_its_name(database: Database) -> None:
    for name in STRANGERS:
        database.as_owner(f"CREATE SCHEMA {name}; COMMENT ON SCHEMA {name} IS 'never delete'")
    database.clone("main", "prod")
    assert database.refusal("main", "prod", "--rollback").startswith("There is no backup of 'prod'")
    printed = database.clone("main", "prod", "--replace", "--keep", "0")
    assert "the former prod is dropped." in printed
    assert "Dropped the backup" not in printed
    assert set(database.schemas()) == {"static", "main", "prod", *STRANGERS}


def test_a_comment_of_a_backup_on_another_schema_makes_none(database: Database, session: Session) -> None:
    database.clone("main", "prod")
    database.clone("main", "prod", "--replace")
    ((comment,),) = database.execute("SELECT obj_description(oid) FROM pg_namespace WHERE nspname ~ '^prod_'")
    literal = comment.replace("'", "''")
    copied = (*STRANGERS[1:], "prod_20250101", "main_20250101_120000", "archive")
    for name in copied:
        database.as_owner(f"CREATE SCHEMA {name}; COMMENT ON SCHEMA {name} IS '{literal}'")
    database.as_owner(
        f"CREATE SCHEMA prod_20250101_120000; COMMENT ON SCHEMA prod_20250101_120000 IS '{backups.KEPT}[no json'"
    )
    names = [backup.name for backup in backups.backups(session, "prod")]
    assert names == [
        "prod_99991231_235959",
        *(name for name in names_of_backups(database)[::-1] if name not in STRANGERS),
    ]


def test_a_backup_is_neither_cloned_nor_replaced(database: Database) -> None:
    database.clone("main", "prod")
    database.clone("main", "prod", "--replace")
    (backup,) = names_of_backups(database)
    line = f"The schema '{backup}' is a backup, without its foreign keys: bring it back by --rollback first."
    assert database.refusal(backup, "other") == line
    assert database.refusal("main", backup, "--replace", "--dry-run") == line


def test_a_name_that_is_taken_is_passed_over(database: Database, session: Session) -> None:
    first = backups.next_backup(session, "prod")
    second = session.value(
        "SELECT to_char(to_timestamp(%s, 'YYYYMMDD_HH24MISS') + '1 s', 'YYYYMMDD_HH24MISS')", [first[5:]]
    )
    for name in (first, f"prod_{second}"):
        database.as_owner(f"CREATE SCHEMA {name}")
    assert backups.next_backup(session, "prod") > f"prod_{second}"


def test_a_key_that_clears_rows_by_itself_lets_a_row_go_that_all_main_schemas_name(database: Database) -> None:
    database.as_owner("""
        ALTER TABLE main.layer DROP CONSTRAINT layer_user_id_fkey;
        ALTER TABLE main.layer ADD FOREIGN KEY (user_id) REFERENCES static.users ON DELETE SET NULL;
    """)
    database.clone("main", "prod")
    database.as_owner("DELETE FROM static.users WHERE id = 2")
    for schema in ("main", "prod"):
        assert database.execute(f"SELECT count(*) FROM {schema}.layer WHERE user_id IS NULL") == [("10",)]
