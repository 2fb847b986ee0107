"""How is a cluster ended, also one whose makers crashed?"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from django_gmf_router.testing.node import GRACE_SECONDS, end
from django_gmf_router.testing.processes import PROC, Process
from django_gmf_router.testing.state import ClusterState

TERM_SECONDS = 2.0


def end_cluster(state: ClusterState) -> None:
    """End the servers of a cluster and remove its files; harmless if they are gone already."""
    end(state.processes())
    # First kindly: a server that initdb runs then removes its shared memory.
    for signum, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        end_strays(state, signum, seconds)
    state.remove()


def end_strays(state: ClusterState, signum: int, timeout_seconds: float) -> None:
    """Send a signal to what `strays` finds, and wait for its end."""
    found = strays(state)
    for process in found:
        process.send(signum)
    deadline = time.monotonic() + timeout_seconds
    for process in found:
        process.wait_until_gone(max(0.0, deadline - time.monotonic()))


def strays(state: ClusterState) -> list[Process]:
    """Return programs of the cluster that no state names: its maker was killed while it waited for them.

    They are known by their executable and their working directory. Where there is no /proc none are found; a
    server ends by itself within a minute once its data directory is gone.
    """
    if not PROC.joinpath("self").exists() or not state.owns_home():
        return []
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    found = [Process.find(pid) for pid in pids if _belongs(PROC / str(pid), state)]
    return [process for process in found if process is not None]


def _belongs(entry: Path, state: ClusterState) -> bool:
    try:
        program, directory = (Path(os.readlink(entry / name)) for name in ("exe", "cwd"))
    except OSError:
        return False
    return program.parent == _real_bin_dir(state) and directory.is_relative_to(state.home)


def _real_bin_dir(state: ClusterState) -> Path:
    """Return where the programs are that a directory of symbolic links leads to."""
    return (state.bin_dir / "postgres").resolve().parent
