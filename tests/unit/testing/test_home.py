"""Is a program that fails told in one line, without passwords?"""

from __future__ import annotations

from pathlib import Path

import pytest

from django_gmf_router.testing.home import PASSWORD_FILE, Home
from django_gmf_router.testing.machine import Account, LocalClusterError


def home(path: Path, script: str) -> Home:
    """Return a home whose `initdb` is a shell script."""
    (path / PASSWORD_FILE).write_text("127.0.0.1:*:*:gmf:sesame\n")
    program = path / "initdb"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Home(path, bin_dir=path, account=Account())


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("echo 'initdb: no disk' >&2", "initdb: no disk"),
        ("printf 'working\\nERROR: sesame is short\\n' >&2", r"ERROR: \*\*\* is short"),
        ("true", "no message"),
    ],
)
def test_what_a_program_complains_of_is_told_without_passwords(tmp_path: Path, script: str, complaint: str) -> None:
    with pytest.raises(LocalClusterError, match=f"^initdb failed: {complaint}$"):
        home(tmp_path, f"{script}; exit 1").run("initdb", timeout_seconds=30)


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(LocalClusterError, match=r"^initdb did not end within 0\.1 s$"):
        home(tmp_path, "exec sleep 60").run("initdb", timeout_seconds=0.1)


def test_the_callers_postgresql_variables_are_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")
    home(tmp_path, 'test -z "$PGHOST" && test "$PWD" = "$HOME"').run("initdb", timeout_seconds=30)
