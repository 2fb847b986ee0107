"""How do the cluster tests serve a site through a real web server?"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django_gmf_router.testing import LocalCluster

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sysconfig.get_path("scripts"))
STOP_SECONDS = 20
IDLE_SECONDS = "60"
DRIVERS = ("psycopg", "psycopg2")
SERVERS = ("gunicorn", "uvicorn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site that is being served."""

    host: str
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://{self.host}:{self.port}"


def environment(
    cluster: LocalCluster,
    driver: str = "psycopg",
    router: dict[str, Any] | None = None,
    engine: str = "django_gmf_router.backends.postgresql",
    **database: Any,
) -> dict[str, str]:
    """Return the environment of a process of the site; passwords never stand on its command line."""
    database = {"CONN_MAX_AGE": 60, **database}
    databases = {alias: {**settings, **database} for alias, settings in cluster.databases(engine=engine).items()}
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.cluster.settings",
        "GMF_TEST_DATABASES": json.dumps(databases),
        "GMF_TEST_ROUTER": json.dumps(router or {}),
        "GMF_TEST_DRIVER": driver,
        "PYTHONPATH": str(ROOT),
    }


def manage(env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    """Run a management command of the site."""
    command = [sys.executable, "-m", "django", *args]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@contextmanager
def served(
    server: str,
    env: dict[str, str],
    workers: int = 2,
    threads: int = 4,
    within: Sequence[str] = (),
    application: str = "tests.cluster.served:wsgi",
) -> Iterator[Site]:
    """Serve the site until the block ends; requests wait in the socket's backlog until the server is ready.

    `within`: a command that executes the one that follows it, in its own process; `application`: what gunicorn serves.
    """
    with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        log = Path(directory) / "log"
        command = _commands(listener.fileno(), workers, threads, application)[server]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*within, *command],
                env=env,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
            )
        host, port = listener.getsockname()
        try:
            yield Site(host=host, port=port, log=log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


def _commands(descriptor: int, workers: int, threads: int, application: str) -> dict[str, list[str]]:
    bind = f"fd://{descriptor}"
    python, quiet = [sys.executable, "-m"], ["--log-level", "warning"]
    gunicorn = [*python, "gunicorn", *quiet, "-b", bind, "-w", f"{workers}", "--threads", f"{threads}"]
    # The client gives idle connections up after 5 s. With the same time-out, or a shorter one, the server could close
    # a connection while a request is on its way.
    gunicorn += ["--keep-alive", IDLE_SECONDS]
    uvicorn = [*python, "uvicorn", *quiet, "--fd", f"{descriptor}", "--timeout-keep-alive", IDLE_SECONDS]
    uwsgi = [str(BIN / "uwsgi"), "--http-socket", bind, "--master", "--processes", f"{workers}"]
    uwsgi += ["--threads", f"{threads}", "--need-app", "--die-on-term", "--disable-logging"]
    return {
        "gunicorn": [*gunicorn, application],
        "preload": [*gunicorn, "--preload", application],
        "uvicorn": [*uvicorn, "tests.cluster.served:asgi"],
        "uwsgi": [*uwsgi, "--module", application],
    }
