"""Do functions of a copy work in the copy, and is said what no one but its author knows?"""

from __future__ import annotations

import pytest

from tests.cluster.clone.databases import SMALL, Database

# How PostgreSQL's manual wants functions that run with their owner's rights, and what it cannot follow: texts.
FUNCTIONS = f"""{SMALL}
CREATE TABLE main.log (name text);
CREATE FUNCTION main.newest() RETURNS text LANGUAGE sql STABLE SET search_path = main, pg_temp
    AS 'SELECT name FROM layer ORDER BY id DESC LIMIT 1';
CREATE FUNCTION main.audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "$user", Main, pg_temp
    AS 'BEGIN INSERT INTO log VALUES (NEW.name); RETURN NEW; END';
CREATE PROCEDURE main.clean() LANGUAGE sql SET search_path = main AS 'DELETE FROM log';
CREATE FUNCTION main.other() RETURNS int LANGUAGE sql SET search_path = static AS 'SELECT 1';
CREATE TRIGGER audit AFTER INSERT ON main.layer FOR EACH ROW EXECUTE FUNCTION main.audit();
"""
SPELLING = f"""{SMALL}
CREATE SEQUENCE main.numbers; CREATE TABLE main.text (fr text, tsv tsvector, main text DEFAULT 'main');
CREATE FUNCTION main.folded() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM MAIN.layer';
CREATE TRIGGER vector BEFORE INSERT ON main.text FOR EACH ROW
    EXECUTE FUNCTION tsvector_update_trigger('tsv', 'main.fr', 'fr');
ALTER TABLE main.text ADD n int DEFAULT nextval('main.numbers'::text::regclass);
CREATE VIEW main.sizes AS SELECT pg_relation_size('main.layer'::text::regclass) AS bytes;
CREATE VIEW main.plain AS SELECT 'main' AS name, main.id FROM main.layer main;
"""


@pytest.mark.parametrize("database", [FUNCTIONS], indirect=True)
def test_a_function_with_a_search_path_works_in_the_copy_after_publishing_and_rolling_back(database: Database) -> None:
    before = database.dump("main")
    assert "Warning" not in database.clone("main", "prod")
    assert database.dump("main") == before
    assert [line.replace("prod", "main") for line in database.dump("prod")] == before
    database.as_owner("UPDATE main.layer SET name = 'unpublished'; INSERT INTO prod.layer (name) VALUES ('live')")
    assert database.execute("SELECT prod.newest(), main.newest()") == [("live", "unpublished")]
    assert database.execute("SELECT name FROM prod.log") == [("live",)]
    assert database.execute("SELECT name FROM main.log") == []
    database.clone("main", "prod", "--replace")
    assert database.execute("SELECT prod.newest()") == [("unpublished",)]
    database.clone("main", "prod", "--rollback")
    database.as_owner("DROP SCHEMA main CASCADE; INSERT INTO prod.layer (name) VALUES ('last')")
    assert database.execute("SELECT prod.newest()") == [("last",)]
    database.as_owner("CALL prod.clean()")
    assert database.execute("SELECT name FROM prod.log") == []


@pytest.mark.parametrize("database", [SPELLING], indirect=True)
def test_texts_that_spell_the_name_of_the_source_are_told(database: Database) -> None:
    printed = database.clone("main", "prod")
    warned = [line.split(" spells ")[0] for line in printed.splitlines() if "look what it means" in line]
    assert warned == [
        "Warning: the function folded()",
        "Warning: the table text",
        "Warning: the trigger text vector",
        "Warning: the view sizes",
    ]


@pytest.mark.parametrize(
    "database",
    [
        f"""{SMALL}
        CREATE FUNCTION main.length_of(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT length($1)';
        CREATE FUNCTION main.is_short(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE
            AS 'BEGIN RETURN length_of($1) < 100; END';
        SET search_path = main; ALTER TABLE layer ADD CHECK (is_short(name)); RESET search_path;
        """
    ],
    indirect=True,
)
def test_a_function_that_relies_on_the_sites_search_path_is_named_and_the_remedy_helps(database: Database) -> None:
    line = database.refusal("main", "prod")
    assert "function length_of(text) does not exist" in line
    assert line.endswith(
        "The function main.is_short finds names by the search_path of a session, which is empty while a dump is "
        "restored: ALTER FUNCTION main.is_short SET search_path = the schemas that it needs, then try again."
    )
    database.as_owner("ALTER FUNCTION main.is_short SET search_path = main")
    database.clone("main", "prod")
    database.as_owner("DROP SCHEMA main CASCADE; INSERT INTO prod.layer (name) VALUES ('short')")
