"""Which of the other services are on this machine, and how do the tests run them?"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django_gmf_router.testing.machine import Account
from tests.waiting import listens, until

# The program, and Debian's package of it.
PACKAGES = {
    "psql": "postgresql-client",
    "ogrinfo": "gdal-bin",
    "gdallocationinfo": "gdal-bin",
    "haproxy": "haproxy",
    "nginx": "nginx",
    "pgbouncer": "pgbouncer",
    "map2img": "mapserver-bin",
    "mapserv": "mapserver-bin",
    "prometheus": "prometheus",
    "promtool": "prometheus",
}
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
START_SECONDS = 10
STOP_SECONDS = 5


def find(program: str) -> str | None:
    """Return where a program is; servers are often in directories that only root searches."""
    return shutil.which(program, path=PATH)


def missing(*programs: str) -> str | None:
    """Return what these tests lack here and how to get it, None where there is nothing."""
    lacking = sorted({PACKAGES[program] for program in programs if find(program) is None})
    return f"{', '.join(lacking)}: apt-get install --no-install-recommends {' '.join(lacking)}" if lacking else None


def major_version(psql: str) -> int:
    """Return the major version of a psql, which is that of its libpq."""
    text = subprocess.run([psql, "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\d+", text)[0])


@contextmanager
def running(command: list[str], port: int, log: Path, account: Account | None = None) -> Iterator[None]:
    """Run a server in the foreground until the block ends; it listens on `port` when the block begins."""
    account = account or Account()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, user=account.uid, group=account.gid, cwd="/")
        try:
            _wait_until_it_listens(process, port, log)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    what = lambda: f"{process.args} listens on {port}: {log.read_text()}"  # noqa: E731
    until(lambda: listens(port) or process.poll() is not None, START_SECONDS, what)
    assert process.poll() is None, what()


if __name__ == "__main__" and (lacking := missing(*PACKAGES)):
    print(f"* Tests are left out, above all of tests/cluster/test_services.py: they need {lacking}")
