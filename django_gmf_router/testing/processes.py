"""Which process is it, does it live, and how is it stopped without hitting another one?"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
POLL_SECONDS = 0.005

# Servers that this Python process started. Only their parent can reap them, whichever LocalCluster object
# asks, and a Popen that is dropped while its process lives warns.
_children: dict[int, subprocess.Popen[bytes]] = {}


class _Stat(NamedTuple):
    state: str
    parent: int
    started: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process, told from a later one with the same pid by the time it was started."""

    pid: int
    started: str

    @classmethod
    def find(cls, pid: int) -> Process | None:
        """Return the living process with this pid, None if there is none."""
        stat = _stat(pid)
        return None if stat is None else cls(pid=pid, started=stat.started)

    def state(self) -> str | None:
        """Return the state letter of `ps` ("T" is stopped), None when the process is gone."""
        stat = _stat(self.pid)
        return stat.state if stat is not None and stat.started == self.started else None

    def alive(self) -> bool:
        return self.state() is not None

    def send(self, signum: int) -> None:
        """Send a signal, unless the process is gone."""
        if self.alive():
            try:
                os.kill(self.pid, signum)
            except ProcessLookupError:
                return

    def wait_until_gone(self, timeout_seconds: float) -> bool:
        """Wait for the end of the process; return False if it still lives."""
        deadline = time.monotonic() + timeout_seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def children(self) -> list[Process]:
        found = [Process.find(pid) for pid, parent in _parents() if parent == self.pid]
        return [process for process in found if process is not None]


def adopt(child: subprocess.Popen[bytes]) -> Process | None:
    """Remember a child of this process, so that it is reaped; return None if it has ended already."""
    _children[child.pid] = child
    return Process.find(child.pid)


@atexit.register
def _disown() -> None:
    # Those of a detached cluster live on.
    for child in _children.values():
        child.returncode = 0


def freeze(root: Process) -> None:
    """Stop a process and its children (SIGSTOP), and return when all of them stand."""
    _stop(root)
    stopped: set[Process] = set()
    # The parent stands, so it starts no more children; one it was just starting shows up in the next round.
    while fresh := set(root.children()) - stopped:
        for child in fresh:
            _stop(child)
        stopped |= fresh


def thaw(root: Process) -> None:
    """Let a process and its children go on (SIGCONT)."""
    for process in (*root.children(), root):
        process.send(signal.SIGCONT)


def _stop(process: Process) -> None:
    process.send(signal.SIGSTOP)
    while process.state() not in {"T", None}:
        time.sleep(POLL_SECONDS)


def _stat(pid: int) -> _Stat | None:
    stat = _stat_from_proc(pid) if PROC.joinpath("self").exists() else _stat_from_ps(pid)
    if stat is not None and stat.state not in "ZX":
        return stat
    child = _children.pop(pid, None)
    if child is not None:
        child.wait()
    return None


def _stat_from_proc(pid: int) -> _Stat | None:
    try:
        text = PROC.joinpath(str(pid), "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the name in parentheses, which may hold anything: proc(5).
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[1]), fields[19])


def _stat_from_ps(pid: int) -> _Stat | None:
    fields = _ps("-o", "stat=,ppid=,lstart=", "-p", str(pid)).split(None, 2)
    return _Stat(fields[0][0], int(fields[1]), fields[2].strip()) if fields else None


def _parents() -> list[tuple[int, int]]:
    if not PROC.joinpath("self").exists():
        lines = _ps("-A", "-o", "pid=,ppid=").splitlines()
        return [(int(pid), int(parent)) for pid, parent in map(str.split, lines)]
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    return [(pid, stat.parent) for pid in pids if (stat := _stat_from_proc(pid)) is not None]


def _ps(*args: str) -> str:
    command = ["ps", *args]
    return subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True, env=_ps_env()).stdout


def _ps_env() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
