"""Do the servers run as a user whom PostgreSQL accepts, with files that this user can reach?"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from django_gmf_router.testing.accounts import Account, server_account, write_private
from django_gmf_router.testing.errors import LocalClusterError

STRANGER = Account(uid=4000000, gid=4000000)


def users(monkeypatch: pytest.MonkeyPatch, **known: int) -> None:
    def getpwnam(name: str) -> SimpleNamespace:
        return SimpleNamespace(pw_uid=known[name], pw_gid=known[name] + 1)

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)


def test_a_normal_user_runs_the_servers_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not server_account().is_other


def test_root_runs_them_as_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    users(monkeypatch, postgres=70, nobody=99)
    assert server_account() == Account(uid=70, gid=71)


def test_root_runs_them_as_nobody_where_there_is_no_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    users(monkeypatch, nobody=99)
    assert server_account() == Account(uid=99, gid=100)


def test_root_alone_on_a_machine_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    users(monkeypatch)
    with pytest.raises(LocalClusterError, match="add one"):
        server_account()


def test_ourselves_may_enter_everything(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert Account().may_enter(tmp_path)


def test_a_stranger_may_not_enter_below_a_private_directory(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir(mode=0o755)
    tmp_path.chmod(0o700)
    assert not STRANGER.may_enter(inner)


def test_a_stranger_may_enter_where_everybody_may() -> None:
    assert STRANGER.may_enter(Path("/"))


@pytest.mark.parametrize(("mode", "allowed"), [(0o700, True), (0o611, False)])
def test_an_owner_may_enter_by_the_owners_bits(tmp_path: Path, mode: int, allowed: bool) -> None:
    tmp_path.chmod(mode)
    assert Account(uid=os.getuid(), gid=4000000)._may_pass(tmp_path) is allowed


@pytest.mark.parametrize(("mode", "allowed"), [(0o710, True), (0o701, False)])
def test_a_group_may_enter_by_the_groups_bits(tmp_path: Path, mode: int, allowed: bool) -> None:
    tmp_path.chmod(mode)
    assert Account(uid=4000000, gid=tmp_path.stat().st_gid)._may_pass(tmp_path) is allowed


def test_a_private_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "sesame", Account())
    assert path.read_text() == "sesame"
    assert path.stat().st_mode & 0o777 == 0o600
