"""Is a statement that writes seen as one, and to which table?"""

from __future__ import annotations

import pytest

from django_gmf_router.routing import writes
from django_gmf_router.routing.writes import classify

READS = [
    'SELECT "a"."id" FROM "a"',
    "  select 1",
    "/* site:view */ SELECT 1",
    "-- comment\nSELECT 1",
    "(SELECT 1) UNION (SELECT 2)",
    "WITH x AS (SELECT 1) SELECT * FROM x",
    "VALUES (1)",
    "TABLE a",
    "SHOW server_version",
    "EXPLAIN SELECT 1",
    "SAVEPOINT x",
    "ROLLBACK TO SAVEPOINT x",
    "RELEASE SAVEPOINT x",
    "BEGIN",
    "COMMIT",
    "SET search_path = a",
    'SELECT "app_update"."id" FROM "app_update"',
    'SELECT "a"."delete", "a"."call" FROM "a"',
]
WRITES = [
    ('INSERT INTO "a" ("b") VALUES (1)', "INSERT", "a"),
    ('UPDATE "a" SET "b" = 1', "UPDATE", "a"),
    ("update only a set b = 1", "UPDATE", "a"),
    ('DELETE FROM "a"', "DELETE", "a"),
    ('INSERT INTO "schema"."a" VALUES (1)', "INSERT", "a"),
    ("insert into schema.a values (1)", "INSERT", "a"),
    ("INSERT INTO `a` VALUES (1)", "INSERT", "a"),
    ("MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE", "MERGE", "a"),
    ('WITH x AS (DELETE FROM "a" RETURNING *) SELECT * FROM x', "WITH", "a"),
    ("EXPLAIN ANALYZE DELETE FROM a", "EXPLAIN", "a"),
    ("SELECT * FROM a FOR UPDATE", "SELECT", None),
    ("SELECT * INTO b FROM a", "SELECT", None),
    ("SELECT nextval('s')", "SELECT", None),
    ("CREATE TABLE a ()", "CREATE", None),
    ("TRUNCATE a", "TRUNCATE", None),
    ("CALL p()", "CALL", None),
    ("DO $$ $$", "DO", None),
    ("NOTIFY x", "NOTIFY", None),
    ("", "", None),
    ("SET statement_timeout=5000; UPDATE a SET b = 1", "SET", "a"),
    ("BEGIN; UPDATE a SET b = 1; COMMIT", "BEGIN", "a"),
    ("ROLLBACK; UPDATE a SET b = 1", "ROLLBACK", "a"),
    ("SELECT 1; CALL p()", "SELECT", None),
    ("EXPLAIN ANALYZE CREATE TABLE a AS SELECT 1", "EXPLAIN", None),
    ("""SELECT 'a"'; UPDATE b SET c = '"'""", "SELECT", "b"),
    ("INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET b = 1", "INSERT", "a"),
]


@pytest.mark.parametrize("sql", READS)
def test_what_is_plainly_a_read_is_no_write(sql: str) -> None:
    assert not classify(sql).writes


@pytest.mark.parametrize(("sql", "verb", "table"), WRITES)
def test_everything_else_is_a_write(sql: str, verb: str, table: str | None) -> None:
    statement = classify(sql)
    assert (statement.writes, statement.verb) == (True, verb)
    if table:
        assert statement.tables == (table,)


def test_what_only_the_driver_can_read_is_a_write() -> None:
    assert classify(b"SELECT 1").writes
    assert classify(object()).writes


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("WITH gone AS (DELETE FROM sessions RETURNING 1) UPDATE a SET b = 1", ("sessions", "a")),
        ("DELETE FROM sessions; UPDATE a SET b = 1", ("sessions", "a")),
        ("/* like UPDATE sessions */ UPDATE a SET b = 1", ("sessions", "a")),
    ],
)
def test_every_table_that_is_a_target_is_named(sql: str, tables: tuple[str, ...]) -> None:
    assert classify(sql).tables == tables


def test_comments_before_the_verb_are_read_once() -> None:
    # Tried in every way they could be cut, as many as these would take longer than anybody waits.
    assert classify("/**/" * 10_000 + "1").writes


def test_long_texts_are_not_kept() -> None:
    writes._kept.cache_clear()
    classify(f"INSERT INTO a VALUES ({'1,' * 10_000}1)")
    assert writes._kept.cache_info().currsize == 0
    classify("INSERT INTO a VALUES (1)")
    assert writes._kept.cache_info().currsize == 1
