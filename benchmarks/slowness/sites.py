"""Which sites are compared? They differ in how a read finds its replica, and in nothing else."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import peers, site
from benchmarks.slowness import HAPROXY, MULTIDB, OURS, RANDOM
from benchmarks.slowness.stage import Stage
from django_gmf_router.testing.machine import HOST, free_ports
from tests.cluster import programs
from tests.cluster.sites import Site, served

APPLICATION = "django.core.wsgi:get_wsgi_application()"
PROCESSES, THREADS = 2, 4
STOCK = "django.db.backends.postgresql"
OUR_ENGINE = "django_gmf_router.backends.postgresql"
RANDOM_ROUTER = "benchmarks.slowness.random_router.RandomRouter"
HAPROXY_CONFIGURATION = """
global
    maxconn 200
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
listen replicas
    bind {host}:{port}
    balance leastconn
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How one of the sites reads."""

    name: str
    engine: str = STOCK
    router: str = RANDOM_ROUTER
    middleware: str = ""
    apps: tuple[str, ...] = ()
    # One alias for all replicas, with HAProxy in between.
    is_balanced: bool = False
    missing: str | None = None
    """What this machine lacks for it."""


def setups() -> list[Setup]:
    """Return all sites."""
    (multidb,) = [peer for peer in peers.PEERS if peer.name == MULTIDB]
    return [
        Setup(
            name=OURS,
            engine=OUR_ENGINE,
            router=site.OUR_ROUTER,
            middleware=site.OUR_MIDDLEWARE,
            apps=("django_gmf_router",),
        ),
        Setup(name=RANDOM),
        Setup(
            name=MULTIDB,
            router=multidb.router,
            middleware=multidb.middleware,
            missing=None if multidb.is_installed else f"pip install {MULTIDB}",
        ),
        Setup(name=HAPROXY, is_balanced=True, missing=programs.missing("haproxy")),
    ]


def nothing_serves() -> str | None:
    """Return what is missing to serve any site, None where there is nothing."""
    return None if find_spec("gunicorn") else "pip install gunicorn"


@contextmanager
def serving(setup: Setup, stage: Stage, *, is_spared: bool = False) -> Iterator[Site]:
    """Serve a site until the block ends; for one that is spared no replica is ever slow."""
    with ExitStack() as stack:
        databases = stage.databases(setup.engine, is_spared=is_spared)
        if setup.is_balanced:
            databases = _balanced(databases, stack.enter_context(_haproxy(stage)))
        settings = {
            "DATABASES": databases,
            "DATABASE_ROUTERS": [setup.router],
            "MIDDLEWARE": [setup.middleware] if setup.middleware else [],
            "INSTALLED_APPS": [*setup.apps, "benchmarks.slowness"],
            "REPLICA_DATABASES": [alias for alias in databases if alias != "default"],
            "GMF_ROUTER": {"default": {"REPLICAS": list(stage.replicas)}},
        }
        env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.slowness.settings",
            "GMF_BENCH_SETTINGS": json.dumps(settings),
        }
        yield stack.enter_context(served("gunicorn", env, workers=PROCESSES, threads=THREADS, application=APPLICATION))


def _balanced(databases: dict[str, Any], port: int) -> dict[str, Any]:
    primary, replica, *_ = databases.values()
    return {"default": primary, "replicas": {**replica, "PORT": port}}


@contextmanager
def _haproxy(stage: Stage) -> Iterator[int]:
    """Run HAProxy before the replicas, and yield its port."""
    (port,) = free_ports(1)
    servers = "\n".join(f"    server {name} {HOST}:{at} check inter 1s" for name, at in stage.proxy_ports.items())
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "haproxy.cfg"
        configuration.write_text(f"{HAPROXY_CONFIGURATION.format(host=HOST, port=port)}{servers}\n", encoding="utf-8")
        command = [str(programs.find("haproxy")), "-db", "-f", str(configuration)]
        with programs.running(command, port, Path(directory) / "log"):
            yield port
