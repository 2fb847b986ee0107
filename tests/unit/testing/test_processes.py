"""Is a process known again, and stopped with its children, and never mistaken for another?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_gmf_router.testing import processes
from django_gmf_router.testing.processes import Process, adopt, freeze, thaw

FAMILY = """
import subprocess, sys
children = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(3)]
print("ready", flush=True)
sys.stdin.read()
for child in children:
    child.kill()
    child.wait()
"""


@pytest.fixture(params=["proc", "ps"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the facts come from: macOS has no /proc."""
    if request.param == "ps":
        monkeypatch.setattr(processes, "PROC", Path("/nonexistent"))
    return str(request.param)


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", FAMILY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        yield parent
        parent.communicate(b"")


def found(pid: int) -> Process:
    process = Process.find(pid)
    assert process is not None
    return process


def test_this_process_lives(source: str) -> None:
    assert found(os.getpid()).alive()


def test_a_pid_that_was_used_before_is_not_alive(source: str) -> None:
    assert not Process(pid=os.getpid(), started="long ago").alive()


def test_a_signal_does_not_reach_a_process_that_took_over_the_pid(source: str) -> None:
    Process(pid=os.getpid(), started="long ago").send(signal.SIGKILL)


def test_an_unknown_pid_is_nobody(source: str) -> None:
    assert Process.find(2**22 + 1) is None


def test_freezing_stops_all_children_and_thawing_lets_them_go_on(source: str, family: subprocess.Popen[bytes]) -> None:
    parent = found(family.pid)
    everybody = [parent, *parent.children()]
    assert len(everybody) == 4
    freeze(parent)
    assert {process.state() for process in everybody} == {"T"}
    thaw(parent)
    assert "T" not in {process.state() for process in everybody}


def test_a_child_that_ended_is_gone_and_reaped(source: str) -> None:
    child = subprocess.Popen(["sleep", "60"])
    process = adopt(child)
    assert process is not None
    assert not process.wait_until_gone(0.0)
    process.send(signal.SIGKILL)
    assert process.wait_until_gone(10)
    assert child.returncode == -signal.SIGKILL


def test_a_zombie_of_another_process_counts_as_gone() -> None:
    child = subprocess.Popen(["true"])
    # Waits without reaping.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert Process.find(child.pid) is None
    finally:
        child.wait()
