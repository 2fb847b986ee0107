"""How does a cluster end, also when its owner was killed and can do nothing any more?

Run as a program it waits for the end of its standard input, whose other end only the owner holds. Then it ends the
cluster of the directory it was given, if that is still there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

from django_gmf_router.testing import processes
from django_gmf_router.testing.home import NODES, ClusterState, load

ROOT = Path(__file__).parents[2]
MODULE = "django_gmf_router.testing.watchdog"
TERM_SECONDS = 2.0


class Tether:
    """Ties a cluster to this process: when the process ends in whichever way, a watchdog ends the cluster.

    The kernel closes the pipe even after SIGKILL. No server inherits the end that is held here, and forked
    children close theirs.
    """

    def __init__(self, directory: Path) -> None:
        path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "PYTHONPATH": path},
            # Ctrl-C in a terminal reaches the whole process group; the watchdog has to outlive it.
            start_new_session=True,
        )
        _tethers.add(self)

    def release(self) -> None:
        """Let the watchdog go and wait for its end; it ends the cluster, should that still stand."""
        _tethers.discard(self)
        self._close()
        self._watchdog.wait()

    def close_in_child(self) -> None:
        """Forget the watchdog in a forked process, which would otherwise hold it up and try to wait for it."""
        self._close()
        self._watchdog.returncode = 0

    def _close(self) -> None:
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()


_tethers: weakref.WeakSet[Tether] = weakref.WeakSet()


def _close_in_child() -> None:
    for tether in list(_tethers):
        tether.close_in_child()
    _tethers.clear()


os.register_at_fork(after_in_child=_close_in_child)


def end_cluster(state: ClusterState) -> None:
    """End the servers of a cluster and remove its files; harmless if they are gone already."""
    if state.owns_home():
        found = (processes.server_of(state.home / NODES / name) for name in state.ports)
        processes.end([server for server in found if server is not None])
        # What no file names yet: its maker was killed while it waited for initdb, pg_basebackup or pg_ctl. First
        # kindly, so that a server that initdb runs removes its shared memory. What is not found all the same ends
        # by itself within a minute, since its data directory is gone.
        for signum, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, processes.GRACE_SECONDS)):
            strays = processes.programs_in(state.bin_dir, state.home)
            processes.send(strays, signum)
            processes.wait_until_gone(strays, seconds)
    state.remove()


def main(directory: Path) -> None:
    """Wait for the owner's end, then end what it left."""
    sys.stdin.buffer.read()
    state = load(directory)
    if state is not None:
        end_cluster(state)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
