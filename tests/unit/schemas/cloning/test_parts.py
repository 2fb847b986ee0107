"""Do the parts of a clone that need no server keep their rules?"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.management.commands.clone_schema import Lines, progress_on
from django_gmf_router.schemas.cloning import backups, psql, refusals, verification
from django_gmf_router.schemas.cloning.building import _leaves
from django_gmf_router.schemas.session import literal

LEAVING = {"16401"}


def test_names_beside_a_target_never_exceed_63_bytes_and_differ_for_different_targets() -> None:
    assert backups.beside("prod", "__new") == "prod__new"
    targets = ["x" * 58, "x" * 59, "x" * 62 + "a", "x" * 62 + "b", "é" * 31]
    names = [backups.beside(target, suffix) for target in targets for suffix in ("__new", "_20261123_063546")]
    assert all(len(name.encode()) <= 63 for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("line", "leaves"),
    [
        ("3201; 2606 16401 FK CONSTRAINT main layer layer_user_id_fkey gmf", True),
        ("3202; 2606 16402 FK CONSTRAINT main layer layer_parent_id_fkey gmf", False),
        ("3203; 1259 16401 INDEX main layer_index gmf", False),
        ("3204; 0 0 COMMENT main CONSTRAINT layer_user_id_fkey ON layer gmf", True),
        ("3205; 0 0 COMMENT main CONSTRAINT layer_user_id_fkey ON layers gmf", False),
        (";", False),
        ("; Selected TOC Entries:", False),
    ],
)
def test_only_the_keys_that_leave_and_their_comments_are_left_out(line: str, leaves: bool) -> None:
    assert _leaves(line, LEAVING, ["CONSTRAINT layer_user_id_fkey ON layer"]) == leaves


def test_a_disk_needs_room_for_the_copy_and_its_log() -> None:
    refusals.check_room(200, 100)
    with pytest.raises(CloneRefused, match="need 200 MB, the server's disk has 199 MB"):
        refusals.check_room(199 * 2**20, 100 * 2**20)


def test_a_disk_that_this_user_may_not_look_at_is_not_known(tmp_path: Path) -> None:
    data = tmp_path / "closed" / "data"
    data.mkdir(parents=True)
    data.parent.chmod(0)
    # Root may look everywhere; another user, whom the directory does not belong to, may not.
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        session: Any = SimpleNamespace(value=lambda _sql: str(data))
        refusals.by_disk(session, 10**18)
    finally:
        if root:
            os.seteuid(0)
        data.parent.chmod(0o700)


UNFOUND = """psql:<stdin>:70: ERROR:  function unaccent(unknown, text) does not exist
LINE 1:  select unaccent('unaccent', $1)
                ^
HINT:  No function matches the given name and argument types. You might need to add explicit type casts.
QUERY:   select unaccent('unaccent', $1)
CONTEXT:  SQL function "f_unaccent" during inlining
"""


def test_a_function_that_finds_nothing_in_a_restore_is_named_with_the_remedy() -> None:
    told = psql.complaint(io.BytesIO(UNFOUND.encode()), 3)
    assert told.startswith(
        "psql:<stdin>:70: ERROR:  function unaccent(unknown, text) does not exist HINT:  No function"
    )
    assert "QUERY" not in told
    assert "The function f_unaccent finds names by the search_path of a session" in told
    assert "ALTER FUNCTION f_unaccent SET search_path = " in told
    qualified = UNFOUND.replace('SQL function "f_unaccent" during', "PL/pgSQL function main.f(text) line 1 at")
    assert "ALTER FUNCTION main.f SET search_path = " in psql.complaint(io.BytesIO(qualified.encode()), 3)


DUMP = r"""
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: src; Type: SCHEMA; Schema: -; Owner: gmf
--

CREATE SCHEMA "src";

--
-- Name: SCHEMA "src"; Type: COMMENT; Schema: -; Owner: gmf
--

COMMENT ON SCHEMA "src" IS 'kept at src.x';

SET default_tablespace = '';

--
-- Name: layer; Type: TABLE; Schema: src; Owner: gmf
--

CREATE TABLE "src"."layer" (
    "id" integer
);

--
-- PostgreSQL database dump complete
--

\unrestrict aBc
"""


def test_a_dump_is_told_by_its_objects_whatever_stands_between_them() -> None:
    table = ["SET default_tablespace = '';", 'CREATE TABLE "src"."layer" (', '    "id" integer', ");"]
    assert verification.definitions(DUMP) == {("SCHEMA", "SCHEMA"): ['CREATE SCHEMA "src";'], ("TABLE", "layer"): table}
    without = DUMP.replace("SET default_tablespace = '';\n", "").replace(
        "CREATE SCHEMA", "SET default_tablespace = '';\nCREATE SCHEMA"
    )
    assert verification.definitions(without) == verification.definitions(DUMP)


OWNER = 'ALTER X "new"."x" OWNER TO "src";'


@pytest.mark.parametrize(
    ("kind", "lines", "spells"),
    [
        ("DEFAULT", ['SET DEFAULT "nextval"((\'src.numbers\'::"text")::"regclass");'], True),
        ("DEFAULT", ["SET DEFAULT 'src'::\"text\";"], False),
        ("DEFAULT", ['SET DEFAULT "nextval"(\'"new"."numbers"\'::"regclass");'], False),
        ("TABLE", ['CREATE TABLE "new"."src" (', '    "src" "text"', ");", OWNER], False),
        ("VIEW", ['SELECT "src"."id" FROM "new"."layer" "src" WHERE "src"."name" = \'a\';', OWNER], False),
        ("VIEW", ['SELECT "to_regclass"(\'"SRC" .x\'::"text");', OWNER], True),
        ("TRIGGER", ["EXECUTE FUNCTION \"new\".\"noted\"('tsv', 'src');"], True),
        ("TRIGGER", ['EXECUTE FUNCTION "new"."noted"(\'srcs\');'], False),
        ("FUNCTION", ['CREATE FUNCTION "new"."src"() RETURNS integer', "    AS $$ select 1 $$;", OWNER], False),
        ("FUNCTION", ['CREATE FUNCTION "new"."f"()', "    AS $$ select from SRC . layer $$;", OWNER], True),
        ("PROCEDURE", ['CREATE PROCEDURE "new"."f"()', "    AS $$ set search_path to src $$;", OWNER], True),
        ("FUNCTION", ['CREATE FUNCTION "new"."f"()', "    SET \"x\" TO 'src.config'", "    AS $$ $$;", OWNER], True),
        ("FUNCTION", ['CREATE FUNCTION "new"."f"()', "    AS $$ resrc srcs $$;", OWNER], False),
        ("SEQUENCE", ['CREATE SEQUENCE "new"."s"', "    AS integer", "    src", OWNER], False),
        ("COMMENT", ["IS 'see src.layer';"], False),
    ],
)
def test_texts_that_spell_the_source_are_found(kind: str, lines: list[str], spells: bool) -> None:
    assert verification.spelling({(kind, "x"): lines}, "src") == ([f"{kind.lower()} x"] if spells else [])


def test_a_name_with_capitals_is_spelled_with_them() -> None:
    body = ["CREATE FUNCTION", "    AS $$ select from src.layer $$;", OWNER]
    assert verification.spelling({("FUNCTION", "f()"): body}, "Src") == []
    assert verification.spelling({("FUNCTION", "f()"): [body[0], body[1].replace("src", '"Src"'), OWNER]}, "Src")


def test_what_a_program_said_is_told_in_one_line_from_its_error_on() -> None:
    said = b"psql: warning: x\npsql:<stdin>:7: ERROR:  disk full\nHINT:  Buy one.\n\nCONTEXT:  COPY a\nLINE 1\n"
    assert psql.complaint(io.BytesIO(said), 3) == "psql:<stdin>:7: ERROR:  disk full HINT:  Buy one. CONTEXT:  COPY a"
    assert psql.complaint(io.BytesIO(b""), 3) == "ended with exit code 3"
    assert psql.complaint(io.BytesIO(said), -9) == "was killed by signal 9"


def test_plain_lines_tell_each_step_and_where_a_long_one_is_every_few_seconds() -> None:
    written: list[str] = []
    times = iter([0.0, 0.3, 5.1, 5.6, 10.2])
    lines = Lines(written.append, clock=lambda: next(times))
    lines.step("copying main")
    for number in range(1, 5):
        lines.at(f"table {number} of 4", number / 4)
    assert written == ["copying main", "  50%: table 2 of 4", "  100%: table 4 of 4"]


def test_strings_are_written_as_sql_reads_them() -> None:
    assert literal("it's") == "'it''s'"
    assert literal("a\\b'c") == r"E'a\\b''c'"
    assert literal(None) == "NULL"


def test_some_names_stand_for_many() -> None:
    assert refusals.some(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_a_terminal_gets_a_bar_and_anything_else_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes any output for a terminal
    written: list[str] = []
    with progress_on(written.append, terminal=False) as plain:
        plain.step("copying main")
    assert written == ["copying main"]
    with progress_on(written.append, terminal=True) as bar:
        bar.step("copying main")
        bar.at("layer, table 3 of 6, 7,000 rows", 0.25)
    assert "25%: layer, table 3 of 6, 7,000 rows" in capsys.readouterr().out
    with progress_on(written.append, terminal=True) as bar:
        bar.at("layer, table 6 of 6, 7,000 rows", 1)
        bar.step("analyzing prod__new")
    assert "analyzing prod__new" in (drawn := capsys.readouterr().out)
    assert "rows" not in drawn
    assert written == ["copying main"]


def test_without_rich_a_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    written: list[str] = []
    with progress_on(written.append, terminal=True) as plain:
        plain.step("copying main")
    assert written == ["copying main"]
