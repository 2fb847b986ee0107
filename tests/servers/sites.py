"""How is the site served by a row of the matrix?"""

from __future__ import annotations

import getpass
import grp
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import HOST, free_ports
from tests.chaos.load import Answer, Load
from tests.chaos.sites import HEALTH, WHOLE_SECONDS, ChaosSite
from tests.cluster.sites import ROOT, Site, environment
from tests.servers.matrix import APACHE, BIN, Server
from tests.waiting import listens, until

START_SECONDS = 30
STOP_SECONDS = 20
CLIENTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedSite(ChaosSite):
    """The site, served by `row`; `process` is the one that was started."""

    row: Server
    process: subprocess.Popen[bytes]

    @property
    def workers(self) -> int:
        return self.row.workers

    @property
    def pages(self) -> list[str]:
        return list(self.row.pages)

    def each_worker(self, path: str, timeout_seconds: float = WHOLE_SECONDS) -> dict[int, Answer]:
        """Ask from several sides at once until each worker has answered 200, and answer what each said last."""
        found: dict[int, Answer] = {}

        def are_all_there() -> bool:
            found.update({answer.body["pid"]: answer for answer in load.answers if not answer.is_failed})
            return len(found) == self.workers

        with Load(self.url, [path], clients=CLIENTS) as load:
            until(are_all_there, timeout_seconds, lambda: f"{path} by {self.workers} workers: {load.answers[-8:]}")
        return found


@contextmanager
def serving(row: Server, cluster: LocalCluster, driver: str = "psycopg") -> Iterator[ServedSite]:
    """Serve the site until the block ends, or has ended the server."""
    env = environment(cluster, driver, router={"HEALTH": HEALTH}, CONN_MAX_AGE=row.max_age)
    env |= {"DJANGO_SETTINGS_MODULE": "tests.chaos.settings", "PYTHONUNBUFFERED": "1", **row.env}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [row.env.get("PYTHONPATH")])])
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        # Apache's children run as another user.
        directory.chmod(0o755)
        log = directory / "log"
        process = _start(row, env, port, directory, log)
        site = Site(host=HOST, port=port, log=log)
        try:
            until(
                lambda: listens(port) or process.poll() is not None,
                START_SECONDS,
                lambda: f"{row.name} listens: {log.read_text()}",
            )
            assert process.poll() is None, log.read_text()
            yield ServedSite(site=site, server=row.name, driver=driver, row=row, process=process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise


def _start(row: Server, env: Mapping[str, str], port: int, directory: Path, log: Path) -> subprocess.Popen[bytes]:
    filled = {"address": f"{HOST}:{port}", "port": port, "directory": directory, "bin": BIN}
    user, group = ("www-data",) * 2 if os.geteuid() == 0 else (getpass.getuser(), grp.getgrgid(os.getegid()).gr_name)
    (directory / "apache.conf").write_text(APACHE.format(**filled, user=user, group=group))
    with log.open("ab") as output:
        return subprocess.Popen(
            shlex.split(row.command.format(**filled)),
            env=env,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Apache ends the whole group of processes that it is in.
            start_new_session=True,
        )
