"""How does a developer get a primary and replicas on this machine, and break them?"""

from __future__ import annotations

import json
import os
import shlex
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from django_gmf_router.testing.machine import INSTALL, LocalClusterError

if TYPE_CHECKING:
    from django_gmf_router.testing import NodeStatus

NODE_VERBS = ("kill", "restart", "freeze", "thaw", "pause", "resume", "promote")
VARIABLE = "GMF_CLUSTER_DIR"
DIRECTORY = ".gmf_cluster"
DEFAULT_REPLICAS = 2


class Command(BaseCommand):
    """Brings a local cluster up and down, shows it, and breaks and mends its nodes."""

    help = "A real PostgreSQL primary and streaming replicas on this machine, for development and tests."
    # Works without a site: no DATABASES, nothing to check.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("verb", choices=("up", "down", "status", *NODE_VERBS))
        parser.add_argument("node", nargs="?", help=f"which node: for {', '.join(NODE_VERBS)}")
        parser.add_argument("--replicas", type=int, default=DEFAULT_REPLICAS, help="up: how many (default 2)")
        parser.add_argument("--port", type=int, help="up: the primary's port, replicas follow (default: free ones)")
        parser.add_argument("--json", action="store_true", help="status: as JSON")
        parser.add_argument("--directory", help=f"where its state is kept (default ${VARIABLE} or {DIRECTORY})")

    def handle(self, **options: Any) -> None:
        directory = Path(options["directory"] or os.environ.get(VARIABLE) or DIRECTORY).absolute()
        verb, node = options["verb"], options["node"]
        if node is not None and verb not in NODE_VERBS:
            raise CommandError(f"{verb} is for the whole cluster: leave {node} out")
        try:
            if verb == "up":
                self._up(directory, options["replicas"], options["port"])
            else:
                self._act(directory, verb, node, as_json=options["json"])
        except LocalClusterError as error:
            raise CommandError(str(error)) from error
        except ModuleNotFoundError as error:
            raise CommandError(f"{error.name} is missing: {INSTALL}") from error

    def _up(self, directory: Path, replicas: int, port: int | None) -> None:
        from django_gmf_router.testing.cluster import LocalCluster  # noqa: PLC0415  needs the extra `cluster`

        cluster = LocalCluster(replicas, directory=directory, base_port=port)
        cluster.up(detached=True, progress=self.stdout.write)
        self._show(cluster.status())
        # The URLs hold a password, so they are in a file that only its owner can read.
        self.stdout.write("Environment variables DATABASE_URL and DATABASE_REPLICA_URLS:")
        self.stdout.write(f"  set -a; . {shlex.quote(str(directory / 'env'))}; set +a")

    def _act(self, directory: Path, verb: str, node: str | None, *, as_json: bool) -> None:
        from django_gmf_router.testing import lifecycle  # noqa: PLC0415  needs the extra `cluster`
        from django_gmf_router.testing.cluster import LocalCluster  # noqa: PLC0415

        if verb == "down":
            lifecycle.clear(directory)
            self.stdout.write(f"the cluster in {directory} is down")
            return
        cluster = LocalCluster.attach(directory)
        if verb == "status" and as_json:
            self.stdout.write(json.dumps([asdict(status) for status in cluster.status()], indent=2))
        elif verb == "status":
            self._show(cluster.status())
        elif node is None:
            raise CommandError(f"{verb} which node? There are {', '.join(cluster.nodes)}")
        else:
            getattr(cluster, verb)(node)
            self.stdout.write(f"{node}: {verb} done")

    def _show(self, nodes: list[NodeStatus]) -> None:
        for node in nodes:
            pid = f"pid {node.pid}" if node.pid else ""
            role = node.role or "?"
            self.stdout.write(f"{node.name:<12}{role:<9}port {node.port:<7}{node.state:<9}{pid}".rstrip())
