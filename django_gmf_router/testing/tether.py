"""How does a cluster learn that its owner is gone?"""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from pathlib import Path

ROOT = Path(__file__).parents[2]
WATCHDOG = "django_gmf_router.testing.watchdog"


class Tether:
    """Ties a cluster to this process: when the process ends in whichever way, a watchdog ends the cluster.

    The kernel closes the pipe even after SIGKILL. No server inherits the end that is held here, and forked
    children close theirs.
    """

    def __init__(self, directory: Path) -> None:
        read_end, self._write_end = os.pipe()
        path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", WATCHDOG, str(directory)],
            stdin=read_end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "PYTHONPATH": path},
            # Ctrl-C in a terminal reaches the whole process group; the watchdog has to outlive it.
            start_new_session=True,
        )
        os.close(read_end)
        _tethers.add(self)

    def release(self) -> None:
        """Let the watchdog go and wait for its end; it ends the cluster, should that still stand."""
        _tethers.discard(self)
        os.close(self._write_end)
        self._watchdog.wait()

    def close_in_child(self) -> None:
        os.close(self._write_end)
        # Not a child of the forked process, which would otherwise try to wait for it.
        self._watchdog.returncode = 0


_tethers: weakref.WeakSet[Tether] = weakref.WeakSet()


def _close_in_child() -> None:
    for tether in list(_tethers):
        tether.close_in_child()
    _tethers.clear()


os.register_at_fork(after_in_child=_close_in_child)
