"""Which processes are a cluster's, and how are they frozen and ended without hitting another one?

psutil refuses to signal a process that took over the pid of the one it was made for.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

POLL_SECONDS = 0.005
GRACE_SECONDS = 10.0
LOCK_FILE = "postmaster.pid"


def server_of(data: Path) -> psutil.Process | None:
    """Return the server of a data directory, None where none lives.

    A server that was killed leaves its pid in postmaster.pid, which may be another process' by now: ours was
    started with the data directory's path, on which everybody may read the command line.
    """
    with suppress(OSError, ValueError, psutil.Error):
        process = _holder_of(data)
        return process if str(data) in process.cmdline() else None
    return None


def unlock(data: Path) -> None:
    """Remove the lock on a data directory whose server was killed and is a zombie: PostgreSQL would think it lives."""
    with suppress(OSError, ValueError, psutil.Error):
        if not is_alive(_holder_of(data)):
            (data / LOCK_FILE).unlink()


def _holder_of(data: Path) -> psutil.Process:
    return psutil.Process(int((data / LOCK_FILE).read_text().partition("\n")[0]))


def status_of(process: psutil.Process) -> str | None:
    """Return psutil's word for the state of a process, None once it has ended.

    A zombie has: where process 1 reaps nobody's children, as in many containers, it stays for ever.
    """
    with suppress(psutil.NoSuchProcess):
        if process.is_running() and (status := process.status()) not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}:
            return str(status)
    return None


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process has not ended."""
    return status_of(process) is not None


def wait_until_gone(processes: Collection[psutil.Process], timeout_seconds: float) -> bool:
    """Wait for the end of processes; return False if one still lives."""
    deadline = time.monotonic() + timeout_seconds
    while any(map(is_alive, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def send(processes: Collection[psutil.Process], signum: int) -> None:
    """Send a signal to those that live."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signum)


def children_of(server: psutil.Process) -> list[psutil.Process]:
    """Return the processes of a server beside the one that it began as; none when that is gone."""
    with suppress(psutil.NoSuchProcess):
        return server.children()
    return []


def freeze(server: psutil.Process) -> None:
    """Stop a process and its children (SIGSTOP), and return when all of them stand."""
    stopped: set[psutil.Process] = set()
    fresh = {server}
    # Once the parent stands it starts no more children; one it was just starting shows up in the next round.
    while fresh:
        send(fresh, signal.SIGSTOP)
        while any(status_of(process) not in {psutil.STATUS_STOPPED, None} for process in fresh):
            time.sleep(POLL_SECONDS)
        stopped |= fresh
        fresh = set(children_of(server)) - stopped


def thaw(server: psutil.Process) -> None:
    """Let a process and its children go on (SIGCONT)."""
    send([*children_of(server), server], signal.SIGCONT)


def end(servers: Collection[psutil.Process]) -> None:
    """Kill servers (SIGQUIT, frozen ones too) and return when they are gone."""
    for server in servers:
        # The tree is listed while the parent lives: afterwards nobody knows whose children they were.
        family = [*children_of(server), server]
        send([server], signal.SIGQUIT)
        send(family, signal.SIGCONT)
    # The server itself gives its children 5 s before it kills them.
    if not wait_until_gone(servers, GRACE_SECONDS):
        for server in servers:
            send([*children_of(server), server], signal.SIGKILL)
        wait_until_gone(servers, GRACE_SECONDS)


def programs_in(bin_dir: Path, directory: Path) -> list[psutil.Process]:
    """Return what runs of the programs of `bin_dir` with a working directory in `directory`.

    Where this process may not look at those of another user, as root in some containers, they are not found.
    """
    # The directory may hold symbolic links, as Debian's do.
    programs = (bin_dir / "postgres").resolve().parent
    return [
        process
        for process in psutil.process_iter(["exe", "cwd"])
        if process.info["exe"]
        and process.info["cwd"]
        and Path(process.info["exe"]).parent == programs
        and Path(process.info["cwd"]).is_relative_to(directory)
    ]
