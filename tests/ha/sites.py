"""How do web servers serve a site on the machines, behind HAProxy or not, and what do their clients get?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django_gmf_router.testing.ports import HOST, free_ports
from tests.chaos.load import Answer, Client
from tests.chaos.waiting import until
from tests.cluster.sites import ROOT, STOP_SECONDS, manage
from tests.ha.examples import FOLDER, filled
from tests.ha.machines import Machines

START_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class HaSite:
    """A site that is being served; `logs` are those of its web servers."""

    name: str
    url: str
    logs: tuple[Path, ...]

    @property
    def pages(self) -> list[str]:
        return ["/page"]

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self.logs)

    def errors(self) -> str:
        """Answer what was logged of the requests that failed."""
        return "\n".join(f"ERROR{entry[:6000]}" for entry in self.log().split("\nERROR")[1:6])

    def ask(self, path: str, method: str = "GET") -> Answer:
        client = Client(self.url, method=method)
        try:
            return client.ask(path)
        finally:
            client.close()


@contextmanager
def behind_haproxy(machines: Machines, driver: str) -> Iterator[HaSite]:
    """Two web servers behind HAProxy, their databases behind HAProxy."""
    ports = {
        "DATABASE_HOST": HOST,
        "PRIMARY_PORT": machines.primary_port,
        "REPLICAS_PORT": machines.replicas_port,
    }
    front, *webs = free_ports(3)
    env = {"GMF_HA_SETTINGS": "settings.py", "GMF_TEST_DRIVER": driver}
    with ExitStack() as stack:
        logs = [
            stack.enter_context(_gunicorn(machines, f"web{number}", "web.env", ports, port, env))
            for number, port in enumerate(webs, start=1)
        ]
        bound = {f"WEB_{number}": f"{HOST}:{port}" for number, port in enumerate(webs, start=1)}
        machines.run_haproxy("haproxy-web", {"WEB_LISTEN": f"{HOST}:{front}", **bound})
        yield _site(f"haproxy-{driver}", front, *logs)


@contextmanager
def on_hosts(machines: Machines, driver: str) -> Iterator[HaSite]:
    """One web server whose aliases name all nodes."""
    nodes = machines.nodes.values()
    where = {
        "DATABASE_HOST": ",".join(HOST for _ in nodes),
        "DATABASE_PORT": ",".join(str(node.port) for node in nodes),
    }
    (port,) = free_ports(1)
    env = {"GMF_HA_SETTINGS": "settings_hosts.py", "GMF_TEST_DRIVER": driver}
    with _gunicorn(machines, f"hosts-{driver}", "web-hosts.env", where, port, env) as log:
        yield _site(f"hosts-{driver}", port, log)


def migrate(machines: Machines) -> None:
    """Create the tables, through HAProxy as an operator does."""
    ports = {"DATABASE_HOST": HOST, "PRIMARY_PORT": machines.primary_port, "REPLICAS_PORT": machines.replicas_port}
    env = _environment(machines, "web.env", ports, 0, {"GMF_HA_SETTINGS": "settings.py", "GMF_TEST_DRIVER": "psycopg"})
    done = manage(env, "migrate", "--verbosity=0")
    assert done.returncode == 0, done.stderr


def _site(name: str, port: int, *logs: Path) -> HaSite:
    site = HaSite(name=name, url=f"http://{HOST}:{port}", logs=logs)
    until(lambda: site.ask("/page").status == 200, START_SECONDS, lambda: f"{name} serves:\n{site.log()[-3000:]}")
    return site


@contextmanager
def _gunicorn(
    machines: Machines, name: str, env_file: str, databases: Mapping[str, object], port: int, more: Mapping[str, str]
) -> Iterator[Path]:
    log = machines.folder / f"{name}.log"
    command = [sys.executable, "-m", "gunicorn", "-c", str(FOLDER / "gunicorn.conf.py")]
    env = _environment(machines, env_file, databases, port, more)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--log-level", "warning", "django.core.wsgi:get_wsgi_application()"],
            env=env,
            # Where it is found should this process be killed.
            cwd=machines.folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def _environment(
    machines: Machines, env_file: str, databases: Mapping[str, object], port: int, more: Mapping[str, str]
) -> dict[str, str]:
    values = {
        **databases,
        **machines.site_variables(),
        "REDIS_URL": f"redis://{HOST}:{machines.redis_port}/0",
        "WEB_BIND": f"{HOST}:{port}",
        "WEB_PROCESSES": 2,
        "WEB_THREADS": 4,
    }
    own = {"DJANGO_SETTINGS_MODULE": "tests.ha.settings", "GMF_TEST_DATABASES": "{}", "PYTHONPATH": str(ROOT)}
    return {**os.environ, **filled(env_file, values), **own, **more}
