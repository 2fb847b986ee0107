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

from django_gmf_router.testing.machine import HOST, free_ports
from tests.chaos.load import Answer, Client
from tests.cluster.sites import ROOT, STOP_SECONDS, manage
from tests.ha.examples import FOLDER, filled
from tests.ha.machines import Machines
from tests.waiting import until

START_SECONDS = 30
VARIANTS = {"settings.py": "web.env", "settings_hosts.py": "web-hosts.env"}
"""The examples of settings, and the variables of each."""


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
        """Return what was logged of the requests that failed otherwise than by 503."""
        entries = (entry for entry in self.log().split("\nERROR")[1:] if "Service Unavailable" not in entry)
        return "\n".join(f"ERROR{entry[:6000]}" for entry in list(entries)[:5])

    def ask(self, path: str, method: str = "GET") -> Answer:
        client = Client(self.url, method=method)
        try:
            return client.ask(path)
        finally:
            client.close()


@contextmanager
def behind_haproxy(machines: Machines, driver: str) -> Iterator[HaSite]:
    """Two web servers behind HAProxy, their databases behind HAProxy."""
    front, *webs = free_ports(3)
    with ExitStack() as stack:
        logs = [
            stack.enter_context(
                _gunicorn(machines, f"web{number}", site_environment(machines, "settings.py", driver, port))
            )
            for number, port in enumerate(webs, start=1)
        ]
        bound = {f"WEB_{number}": f"{HOST}:{port}" for number, port in enumerate(webs, start=1)}
        machines.run_haproxy("haproxy-web", {"WEB_LISTEN": f"{HOST}:{front}", **bound})
        yield _site(f"haproxy-{driver}", front, *logs)


@contextmanager
def on_hosts(machines: Machines, driver: str) -> Iterator[HaSite]:
    """One web server whose aliases name all nodes."""
    (port,) = free_ports(1)
    env = site_environment(machines, "settings_hosts.py", driver, port)
    with _gunicorn(machines, f"hosts-{driver}", env) as log:
        yield _site(f"hosts-{driver}", port, log)


def migrate(machines: Machines) -> None:
    """Create the tables, through HAProxy as an operator does."""
    done = manage(site_environment(machines, "settings.py"), "migrate", "--verbosity=0")
    assert done.returncode == 0, done.stderr


def site_environment(machines: Machines, settings: str, driver: str = "psycopg", port: int = 0) -> dict[str, str]:
    """Return the environment of a process of the site by one of the examples' settings."""
    nodes = machines.nodes.values()
    ports = {"PRIMARY_PORT": machines.primary_port, "REPLICAS_PORT": machines.replicas_port}
    all_nodes = {
        "DATABASE_HOST": ",".join(HOST for _ in nodes),
        "DATABASE_PORT": ",".join(str(node.port) for node in nodes),
    }
    values = {
        **({"DATABASE_HOST": HOST, **ports} if settings == "settings.py" else all_nodes),
        **machines.site_variables(),
        "REDIS_URL": f"redis://{HOST}:{machines.redis_port}/0",
        "WEB_BIND": f"{HOST}:{port}",
        "WEB_PROCESSES": 2,
        "WEB_THREADS": 4,
    }
    own = {
        "DJANGO_SETTINGS_MODULE": "tests.ha.settings",
        "GMF_HA_SETTINGS": settings,
        "GMF_TEST_DATABASES": "{}",
        "GMF_TEST_DRIVER": driver,
        "PYTHONPATH": str(ROOT),
    }
    return {**os.environ, **filled(VARIANTS[settings], values), **own}


def _site(name: str, port: int, *logs: Path) -> HaSite:
    site = HaSite(name=name, url=f"http://{HOST}:{port}", logs=logs)
    until(lambda: site.ask("/page").status == 200, START_SECONDS, lambda: f"{name} serves:\n{site.log()[-3000:]}")
    return site


@contextmanager
def _gunicorn(machines: Machines, name: str, env: Mapping[str, str]) -> Iterator[Path]:
    log = machines.folder / f"{name}.log"
    command = [sys.executable, "-m", "gunicorn", "-c", str(FOLDER / "gunicorn.conf.py")]
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
        process.send_signal(signal.SIGQUIT)  # Without waiting for connections that are kept alive.
        process.wait(STOP_SECONDS)
