"""Does a dump arrive whole or not at all? With a psql that only writes down what it is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.schemas.cloning import psql
from django_gmf_router.schemas.cloning.psql import PsqlTransaction, run

FAITHFUL = 'cat > "$TOLD"'
REFUSING = "read line; echo 'psql: ERROR:  no' >&2; exit 3"
FAILING_AT_THE_END = 'cat > "$TOLD"; echo "psql: ERROR:  at commit" >&2; exit 2'
PLENTY = "head -c 1000000 /dev/zero; echo 'pg_dump: error: cannot write' >&2"


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "told"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psql, "GRACE_SECONDS", 0.2)


def opened_psql(told: Path, script: str) -> PsqlTransaction:
    program = told.with_name("psql")
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return PsqlTransaction(str(program), {**os.environ, "TOLD": str(told)}, lambda: None)


def test_commit_comes_last_after_all_that_was_written_and_poured(told: Path) -> None:
    with opened_psql(told, FAITHFUL) as opened:
        opened.write("first;\n")
        opened.pour("echo", "second;")
        opened.write("third;\n")
        opened.commit()
    assert told.read_text() == "BEGIN;\nfirst;\nsecond;\nthird;\nCOMMIT;\n"


def test_after_a_program_that_failed_nothing_is_committed(told: Path) -> None:
    with opened_psql(told, FAITHFUL) as opened, pytest.raises(CloneRefused, match="sh: pg_dump: error: half"):
        opened.pour("sh", "-c", "echo 'COPY half'; echo 'pg_dump: error: half' >&2; exit 1")
        opened.commit()
    assert "COMMIT" not in told.read_text()


def test_after_an_exception_psql_is_killed_before_its_input_ends(told: Path) -> None:
    with pytest.raises(KeyboardInterrupt), opened_psql(told, FAITHFUL + '; echo "end of input" >> "$TOLD"') as opened:
        opened.pour("echo", "half;")
        raise KeyboardInterrupt
    assert "end of input" not in told.read_text()


def test_what_psql_said_is_told_not_that_the_pipe_broke(told: Path) -> None:
    with opened_psql(told, REFUSING) as opened, pytest.raises(CloneRefused, match=r"^psql: psql: ERROR:  no$"):
        opened.pour("sh", "-c", f"{PLENTY}; exit 1")
    with opened_psql(told, REFUSING) as opened, pytest.raises(CloneRefused, match=r"ERROR:  no$"):
        for _ in range(100):
            opened.write("x" * 100_000)


def test_a_commit_that_fails_is_told(told: Path) -> None:
    with opened_psql(told, FAILING_AT_THE_END) as opened, pytest.raises(CloneRefused, match="ERROR:  at commit"):
        opened.commit()


def test_a_program_that_was_killed_is_told(told: Path) -> None:
    with pytest.raises(CloneRefused, match=r"^sh: was killed by signal 9$"):
        run(("sh", "-c", "kill -9 $$"), dict(os.environ), lambda: None)


def test_whoever_waits_is_shown_progress_meanwhile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(psql, "POLL_SECONDS", 0.01)
    shown: list[int] = []

    def show() -> None:
        shown.append(1)
        if len(shown) == 3:
            (tmp_path / "enough").touch()

    # It ends when it was seen to be waited for.
    run(("sh", "-c", f"until [ -e {tmp_path}/enough ]; do sleep 0.01; done"), dict(os.environ), show)
    assert len(shown) >= 3
