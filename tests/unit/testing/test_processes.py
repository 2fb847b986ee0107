"""Is a process known again, and stopped with its children, and never mistaken for another?"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from django_gmf_router.testing import processes

FAMILY = """
import signal, subprocess, sys
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), signal.SIG_IGN)
children = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(3)]
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def family(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A process with three children; it ignores the signals that it is given."""
    command = [sys.executable, "-c", FAMILY, *getattr(request, "param", [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        children = psutil.Process(parent.pid).children()
        yield parent
        # They hold its standard output open, should it be gone.
        processes.send(children, signal.SIGKILL)
        parent.communicate(b"")


def test_a_server_is_found_by_its_lock_file(data: Path) -> None:
    server = processes.server_of(data)
    assert server is not None
    assert processes.is_alive(server)


@pytest.mark.parametrize("pid", [str(os.getpid()), str(2**22 + 1), "-7", "", "words"])
def test_a_pid_that_another_process_took_over_or_nobody_is_no_server(data: Path, pid: str) -> None:
    (data / "postmaster.pid").write_text(f"{pid}\n{data}\n")
    assert processes.server_of(data) is None
    processes.unlock(data)
    assert (data / "postmaster.pid").exists()


def test_a_directory_without_a_lock_file_has_no_server(tmp_path: Path) -> None:
    assert processes.server_of(tmp_path) is None
    processes.unlock(tmp_path)


def test_a_server_that_is_a_zombie_has_ended_and_holds_no_lock(data: Path) -> None:
    server = processes.server_of(data)
    assert server is not None
    server.kill()
    # Waits without reaping.
    os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_alive(server)
    assert processes.wait_until_gone([server], 0.0)
    assert processes.server_of(data) is None
    processes.unlock(data)
    assert not (data / "postmaster.pid").exists()


def test_the_lock_of_a_living_server_stays(data: Path) -> None:
    processes.unlock(data)
    assert processes.server_of(data) is not None


def test_freezing_stops_all_children_and_thawing_lets_them_go_on(family: subprocess.Popen[bytes]) -> None:
    parent = psutil.Process(family.pid)
    everybody = [parent, *parent.children()]
    assert len(everybody) == 4
    processes.freeze(parent)
    assert {processes.status_of(process) for process in everybody} == {psutil.STATUS_STOPPED}
    processes.thaw(parent)
    assert psutil.STATUS_STOPPED not in map(processes.status_of, everybody)


def test_what_is_gone_cannot_be_stopped_any_more() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        process = psutil.Process(child.pid)
        assert not processes.wait_until_gone([process], 0.0)
        child.kill()
    assert not processes.is_alive(process)
    assert processes.status_of(process) is None
    for act in (processes.freeze, processes.thaw):
        act(process)
    processes.end([process])


@pytest.mark.parametrize(
    ("family", "ended_by"), [([], signal.SIGQUIT), (["SIGQUIT"], signal.SIGKILL)], indirect=["family"]
)
@pytest.mark.parametrize("frozen", [False, True])
def test_a_server_is_ended_more_and_more_roughly(
    family: subprocess.Popen[bytes], ended_by: int, frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long where the signal is heeded, so that a slow machine changes nothing.
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.1 if ended_by == signal.SIGKILL else 30)
    server = psutil.Process(family.pid)
    if frozen:
        processes.freeze(server)
    processes.end([server])
    assert family.wait() == -ended_by


def test_programs_are_known_by_where_they_are_and_where_they_run(tmp_path: Path) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    (real := tmp_path / "real").mkdir()
    (bin_dir := tmp_path / "bin").mkdir()
    (home := tmp_path / "home").mkdir()
    program = shutil.copy(Path(sleep).resolve(), real / "postgres")
    (bin_dir / "postgres").symlink_to(program)
    with (
        subprocess.Popen([bin_dir / "postgres", "60"], cwd=home) as ours,
        subprocess.Popen([program, "60"], cwd=tmp_path) as elsewhere,
        subprocess.Popen([sleep, "60"], cwd=home) as another,
    ):
        assert [process.pid for process in processes.programs_in(bin_dir, home)] == [ours.pid]
        for process in (ours, elsewhere, another):
            process.kill()
