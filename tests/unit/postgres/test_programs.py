"""Which of PostgreSQL's programs are taken, and what is said when one is missing?"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
from pathlib import Path

import pytest

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres import programs
from django_gmf_router.postgres.programs import ProgramsMissing, find
from django_gmf_router.schemas.cloning.clone_plan import client_programs

NAMES = ("initdb", "pg_dump", "pg_restore", "psql")


def fake_programs(directory: Path, version: str, names: tuple[str, ...] = NAMES) -> Path:
    directory.mkdir(parents=True)
    for name in names:
        script(directory / name, f"{name} (PostgreSQL) {version}")
    return directory


def script(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(programs.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(programs, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    package = tmp_path / programs.WHEEL
    spec = importlib.machinery.ModuleSpec(package.name, None, origin=str(package / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", {package.name: spec}.get)
    return package


def on_path(monkeypatch: pytest.MonkeyPatch, *directories: Path) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, directories)))


def test_the_order_is_the_same_for_all_that_need_programs(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, named = fake_programs(tmp_path / "given", "16.1"), fake_programs(tmp_path / "named", "16.1")
    new, old = (fake_programs(wheel / name / "bin", "16.1") for name in ("pginstall18", "pginstall"))
    path, system = fake_programs(tmp_path / "path", "16.1"), fake_programs(tmp_path / "other", "16.1")
    debian = [fake_programs(tmp_path / "system" / name / "bin", "16.1") for name in ("16", "9")]
    config = tmp_path / "config"
    config.mkdir()
    script(config / "pg_config", str(system))
    on_path(monkeypatch, config, path)
    monkeypatch.setenv(programs.VARIABLE, str(named))
    assert find(NAMES, given=given).directory == given
    assert find(NAMES).directory == named
    monkeypatch.delenv(programs.VARIABLE)
    found = []
    for _ in range(6):
        found.append(find(NAMES, major=16).directory)
        (found[-1] / "psql").unlink()
    assert found == [new, old, path, system, *debian]


def test_the_version_of_the_programs_is_told(wheel: Path) -> None:
    fake_programs(wheel / "pginstall18" / "bin", "18.4")
    assert find(NAMES).major == 18


def test_programs_of_another_major_version_are_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old, new = fake_programs(tmp_path / "old", "15.14 (Debian)"), fake_programs(tmp_path / "new", "18.4")
    on_path(monkeypatch, old, new)
    assert find(NAMES, major=18).path("psql") == str(new / "psql")
    with pytest.raises(ProgramsMissing, match=r"of PostgreSQL 17 on this machine \(.*old holds 15; .*new holds 18\)"):
        find(NAMES, major=17)


@pytest.mark.parametrize("broken", ["#!/bin/sh\necho 'psql (PostgreSQL) 16.1'\n", "#!/bin/sh\n", "\x7fELF"])
def test_programs_without_a_common_version_do_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: str
) -> None:
    on_path(monkeypatch, directory := fake_programs(tmp_path / "mixed", "18.4"))
    (directory / "psql").write_text(broken)
    with pytest.raises(ProgramsMissing, match=r"^No initdb, pg_dump, pg_restore, psql of PostgreSQL on this machine$"):
        find(NAMES)


def test_a_pg_config_that_prints_nothing_leads_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(fake_programs(tmp_path / "here", "18.4"))
    (tmp_path / "config").mkdir()
    script(tmp_path / "config" / "pg_config", "")
    on_path(monkeypatch, tmp_path / "config")
    with pytest.raises(ProgramsMissing, match="on this machine"):
        find(NAMES)


def test_a_directory_that_is_named_is_the_only_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on_path(monkeypatch, fake_programs(tmp_path / "path", "18.4"))
    named = fake_programs(tmp_path / "named", "16.1")
    monkeypatch.setenv(programs.VARIABLE, str(named))
    assert find(NAMES, major=16).directory == named
    with pytest.raises(ProgramsMissing, match=f"^GMF_PG_BINDIR is {named}, which holds PostgreSQL 16, not 18$"):
        find(NAMES, major=18)
    script(named / "psql", "psql (PostgreSQL) 17.1")
    with pytest.raises(ProgramsMissing, match=f"^GMF_PG_BINDIR is {named}, whose programs tell no common version$"):
        find(NAMES)


@pytest.mark.parametrize("program", NAMES)
def test_a_program_that_is_missing_where_it_should_be_is_named(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = fake_programs(tmp_path / "bin", "18.4", tuple(name for name in NAMES if name != program))
    with pytest.raises(ProgramsMissing, match=f"^bin_dir is {directory}, where {program} is missing$"):
        find(NAMES, given=directory)
    monkeypatch.setenv(programs.VARIABLE, str(directory))
    with pytest.raises(ProgramsMissing, match=f"^GMF_PG_BINDIR is {directory}, where {program} is missing$"):
        find(NAMES)


def test_who_set_the_variable_wrong_is_told_to_correct_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(programs.VARIABLE, "/nope")
    complaint = "^GMF_PG_BINDIR is /nope, where pg_dump is missing: correct it or leave it out$"
    with pytest.raises(CloneRefused, match=complaint):
        client_programs(18)


def test_who_lacks_the_programs_for_a_clone_is_told_how_to_get_them() -> None:
    remedy = "on this machine: install postgresql-client-18, or set GMF_PG_BINDIR to their directory$"
    with pytest.raises(CloneRefused, match=remedy):
        client_programs(18)
