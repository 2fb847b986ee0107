"""Do the parts of a clone that need no server keep their rules?"""

from __future__ import annotations

import io
import sys

import pytest

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.schemas.cloning import backups, progress, psql, refusals
from django_gmf_router.schemas.cloning.building import _leaves
from django_gmf_router.schemas.cloning.progress import Lines
from django_gmf_router.schemas.cloning.session import literal

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


def test_what_a_program_said_is_told_in_one_line_from_its_error_on() -> None:
    said = b"psql: warning: x\npsql:<stdin>:7: ERROR:  disk full\nHINT:  Buy one.\n\nCONTEXT:  COPY a\nLINE 1\n"
    assert psql.complaint(io.BytesIO(said), 3) == "psql:<stdin>:7: ERROR:  disk full HINT:  Buy one. CONTEXT:  COPY a"
    assert psql.complaint(io.BytesIO(b""), 3) == "ended with exit code 3"
    assert psql.complaint(io.BytesIO(said), -9) == "was killed by signal 9"


def test_plain_lines_tell_each_table_once_and_a_long_one_now_and_then() -> None:
    written: list[str] = []
    times = iter([0.0, 0.3, 0.6, 5.7])
    lines = Lines(written.append, clock=lambda: next(times))
    lines.step("copying main")
    for table, rows in (("a", 10), ("a", 20), ("b", 1000), ("b", 2000)):
        lines.copying(table, rows, 5000)
    assert written == [
        "copying main",
        "  a: 10 of about 5,000 rows",
        "  b: 1,000 of about 5,000 rows",
        "  b: 2,000 of about 5,000 rows",
    ]


def test_strings_are_written_as_sql_reads_them() -> None:
    assert literal("it's") == "'it''s'"
    assert literal(None) == "NULL"


def test_some_names_stand_for_many() -> None:
    assert refusals.some(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_a_terminal_gets_a_bar_and_anything_else_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes any output for a terminal
    written: list[str] = []
    with progress.shown(written.append, terminal=False) as plain:
        plain.step("copying main")
    assert written == ["copying main"]
    with progress.shown(written.append, terminal=True) as bar:
        bar.step("copying main")
        bar.copying("layer", 7000, 5000)
    assert "7,000 rows" in capsys.readouterr().out
    assert written == ["copying main"]


def test_without_rich_a_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    written: list[str] = []
    with progress.shown(written.append, terminal=True) as plain:
        plain.step("copying main")
    assert written == ["copying main"]
