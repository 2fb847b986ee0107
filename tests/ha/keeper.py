"""How do the processes of a folder end, whoever started them and however their maker ended?

All that these tests start stands in one folder: it is known by its working directory. Run as a program: it waits for
the end of its standard input, whose other end only the maker holds, and ends what is left in the folder it was given.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from django_gmf_router.testing.processes import send, wait_until_gone

ROOT = Path(__file__).resolve().parents[2]
END_SECONDS = 10.0


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the processes whose working directory is in a folder."""
    found = psutil.process_iter(["cwd"])
    return [process for process in found if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(folder)]


def end_all_in(folder: Path) -> None:
    """End the processes of a folder at once, and remove it."""
    while found := processes_in(folder):
        send(found, signal.SIGKILL)
        wait_until_gone(found, END_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


class Keeper:
    """Ends the processes of a folder when it is told to, or when this process ends in whichever way."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder)],
            stdin=subprocess.PIPE,
            cwd=ROOT,
            # Ctrl-C in a terminal reaches the whole process group; the watchdog has to outlive it.
            start_new_session=True,
        )

    def end(self) -> None:
        end_all_in(self._folder)
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        self._watchdog.wait()


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_all_in(Path(sys.argv[1]))
