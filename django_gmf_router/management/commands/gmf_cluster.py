"""How does a developer get a primary and replicas on this machine, and break them?"""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_gmf_router.testing import LocalCluster, LocalClusterError, NodeStatus

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
        directory = Path(options.pop("directory") or os.environ.get(VARIABLE) or DIRECTORY)
        try:
            self._dispatch(directory, **options)
        except LocalClusterError as error:
            raise CommandError(str(error)) from error

    def _dispatch(self, directory: Path, **options: Any) -> None:
        verb = options["verb"]
        if verb == "up":
            self._up(directory, options["replicas"], options["port"])
        elif verb == "down":
            self._down(directory)
        elif verb == "status":
            self._status(LocalCluster.attach(directory).status(), as_json=options["json"])
        else:
            self._break(LocalCluster.attach(directory), verb, options["node"])

    def _up(self, directory: Path, replicas: int, port: int | None) -> None:
        cluster = LocalCluster(replicas, directory=directory, base_port=port)
        cluster.up(detached=True, progress=self.stdout.write)
        self._status(cluster.status(), as_json=False)
        # The URLs hold a password, so they are in a file that only its owner can read.
        self.stdout.write("Environment variables DATABASE_URL and DATABASE_REPLICA_URLS:")
        self.stdout.write(f"  set -a; . {cluster.directory / 'env'}; set +a")

    def _down(self, directory: Path) -> None:
        LocalCluster(directory=directory).down()
        self.stdout.write(f"the cluster in {directory} is down")

    def _status(self, nodes: list[NodeStatus], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps([asdict(node) for node in nodes], indent=2))
            return
        for node in nodes:
            pid = f"pid {node.pid}" if node.pid else ""
            role = node.role or "?"
            self.stdout.write(f"{node.name:<12}{role:<9}port {node.port:<7}{node.state:<9}{pid}".rstrip())

    def _break(self, cluster: LocalCluster, verb: str, node: str | None) -> None:
        if node is None:
            raise CommandError(f"{verb} which node? There are {', '.join(cluster.nodes)}")
        getattr(cluster, verb)(node)
        self.stdout.write(f"{node}: {verb} done")
