"""How does a test get a real primary and real replicas on this machine, and break them?"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django_gmf_router.postgres.libpq import READ_ONLY
from django_gmf_router.testing import lifecycle, processes
from django_gmf_router.testing.home import Row, load
from django_gmf_router.testing.lifecycle import PRIMARY, URL
from django_gmf_router.testing.machine import LocalClusterError
from django_gmf_router.testing.server import NodeStatus, Server, copy_primary, each

DSN = "host={HOST} port={PORT} dbname={NAME} user={USER} password={PASSWORD}"
# How long a replica may take to follow again by itself before it is made anew.
CURE_SECONDS = 2.0


class LocalCluster:
    """A real PostgreSQL primary and its streaming replicas, on loopback, in a directory of their own.

    Used as a context manager it stands inside the block, and nothing of it is left afterwards, also when this
    process is killed. Nodes are called "primary" (or "default", Django's alias), "replica_1", "replica_2".
    Every method raises LocalClusterError with one line that names the node or file and the remedy.

    replicas: how many; directory: where to keep the state, by default a new one for temporary files;
    bin_dir: the directory of PostgreSQL's programs; base_port: the primary's port, the replicas' follow it,
    by default any free ones; database, user: what the site is given; timeout_seconds: the longest wait for
    a server.
    """

    def __init__(
        self,
        replicas: int = 2,
        *,
        directory: str | os.PathLike[str] | None = None,
        bin_dir: str | os.PathLike[str] | None = None,
        base_port: int | None = None,
        database: str = "gmf",
        user: str = "gmf",
        timeout_seconds: float = 30.0,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._options = lifecycle.ClusterOptions(
            replicas=replicas,
            directory=None if directory is None else Path(directory).absolute(),
            bin_dir=None if bin_dir is None else Path(bin_dir),
            base_port=base_port,
            database=database,
            user=user,
            timeout_seconds=timeout_seconds,
        )
        self._running: lifecycle.Running | None = None
        self._started_here = False

    @classmethod
    def attach(cls, directory: str | os.PathLike[str]) -> LocalCluster:
        """Return the cluster that was brought up in a directory, by whichever process."""
        running = lifecycle.attach(Path(directory).absolute())
        state = running.state
        cluster = cls(len(state.ports) - 1, directory=directory, database=state.database, user=state.user)
        cluster._running = running
        return cluster

    def __enter__(self) -> LocalCluster:
        return self.up()

    def __exit__(self, *_: object) -> None:
        # One that stood before the block goes on after it.
        if self._started_here:
            self.down()

    def __repr__(self) -> str:
        nodes = {server.name: server.port for server in self._servers()} if self._running else "down"
        return f"<LocalCluster {nodes}>"

    # As a whole

    def up(self, *, detached: bool = False, progress: Callable[[str], None] | None = None) -> LocalCluster:
        """Bring the cluster up; of one that stands already in the same directory only start stopped nodes.

        A detached cluster outlives this process and is ended by `down()`, here or elsewhere.
        """
        if self._running is None:
            tell = progress or (lambda _: None)
            self._running, self._started_here = lifecycle.bring_up(self._options, detached=detached, tell=tell)
        return self

    def down(self) -> None:
        """End all servers and remove all files, also those of a crashed cluster in the same directory."""
        if self._running is not None:
            self._running.end()
        elif self._options.directory is not None and load(self._options.directory) is not None:
            lifecycle.clear(self._options.directory)
        self._running = None
        self._started_here = False

    def status(self) -> list[NodeStatus]:
        """Return what there is to know of each node, empty when the cluster is down."""
        return each(Server.status, self._servers()) if self._running else []

    def heal(self) -> list[str]:
        """Bring back whatever was broken and return the names of the nodes that were.

        Frozen nodes thaw, stopped ones start, paused ones replay; a replica that was promoted or lost its
        place is made anew from a base backup. Returns when all replicas receive from the primary.
        """
        broken = [server for server in self._servers() if server.state() != "running"]
        for server in broken:
            if server.state() == "frozen":
                processes.thaw(server.running())
            else:
                server.start(self.timeout_seconds)
        replicas = self._servers()[1:]
        whole = each(Server.is_whole, replicas)
        lame = [replica for replica, is_whole in zip(replicas, whole, strict=True) if not is_whole]
        for replica in lame:
            self._cure(replica)
        return sorted({server.name for server in (*broken, *lame)})

    # One node

    def kill(self, node: str) -> None:
        """Kill a server: SIGQUIT, no checkpoint, no goodbye, as in a crash; returns when it is gone."""
        processes.end([self._server(node).running()])

    def restart(self, node: str) -> None:
        """Stop a server if it runs, start it, and return when it takes queries."""
        server = self._server(node)
        server.stop()
        server.start(self.timeout_seconds)

    def freeze(self, node: str) -> None:
        """Stop a server's processes (SIGSTOP): it accepts TCP connections but answers no query."""
        processes.freeze(self._server(node).running())

    def thaw(self, node: str) -> None:
        """Let a frozen server go on."""
        processes.thaw(self._server(node).running())

    def pause(self, node: str) -> None:
        """Pause the replay on a replica and return when it stands: what it shows grows old."""
        self._replica(node).pause(self.timeout_seconds)

    def resume(self, node: str) -> None:
        """Let a replica replay again."""
        self._replica(node).resume()

    def promote(self, node: str) -> None:
        """Make a replica a primary and return when it takes writes; others go on following the old one."""
        self._server(node).promote(self.timeout_seconds)

    def wait_for_replay(self, node: str | None = None, timeout_seconds: float = 10) -> None:
        """Wait until a replica, or all, have replayed everything the primary has committed so far."""
        replicas = self._servers()[1:] if node is None else [self._replica(node)]
        position = self._server(PRIMARY).flushed()
        deadline = time.monotonic() + timeout_seconds
        for replica in replicas:
            replica.wait_for_replay(position, deadline - time.monotonic())

    def execute(self, node: str, sql: str, *, database: str | None = None, timeout_seconds: float = 10) -> list[Row]:
        """Run SQL on a node as superuser, without a driver, and return the rows of all its statements.

        Values are text as PostgreSQL prints it, None for NULL. Several statements are several transactions.
        """
        server = self._server(node)
        return server.query(sql, database=database or self._options.database, timeout_seconds=timeout_seconds)

    # How to connect

    @property
    def directory(self) -> Path:
        """The directory that holds the cluster's state."""
        return self._up().state.directory

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes, the primary first."""
        return [server.name for server in self._servers()]

    def port(self, node: str) -> int:
        """Return the port of a node on 127.0.0.1."""
        return self._server(node).port

    def dsn(self, node: str) -> str:
        """Return a connection string of libpq for the site's role, with its password."""
        return DSN.format(**self._access(node))

    def url(self, node: str) -> str:
        """Return a URL for the site's role, with its password, as in DATABASE_URL."""
        return URL.format(**self._access(node))

    def databases(self, engine: str = "django_gmf_router.backends.postgresql", mirror: bool = False) -> dict[str, Any]:
        """Return Django's DATABASES: "default" is the primary, replicas have read-only sessions.

        With `mirror` the replicas are mirrors of the primary in Django's test runner, whose transactions no
        replica would ever see.
        """
        extra = {"OPTIONS": {"options": READ_ONLY}, **({"TEST": {"MIRROR": "default"}} if mirror else {})}
        primary, *replicas = self.nodes
        entries = {node: {"ENGINE": engine, **self._access(node), **extra} for node in replicas}
        return {"default": {"ENGINE": engine, **self._access(primary)}, **entries}

    # Inside

    def _access(self, node: str) -> dict[str, str]:
        return self._up().access(self._server(node).name)

    def _up(self) -> lifecycle.Running:
        if self._running is None:
            raise LocalClusterError("the cluster is down: call up(), or use it in a with statement")
        return self._running

    def _servers(self) -> list[Server]:
        return list(self._up().servers.values())

    def _server(self, name: str) -> Server:
        servers = self._up().servers
        wanted = PRIMARY if name == "default" else name
        if wanted not in servers:
            raise LocalClusterError(f"no node {name!r} in this cluster: there are {', '.join(servers)}")
        return servers[wanted]

    def _replica(self, name: str) -> Server:
        server = self._server(name)
        if server.name == PRIMARY:
            raise LocalClusterError(f"{PRIMARY} replays nothing: name a replica")
        return server

    def _cure(self, replica: Server) -> None:
        """Let a running replica follow again; by a new base backup if it does not by itself."""
        try:
            replica.resume()
            replica.wait_for_streaming(CURE_SECONDS)
        except LocalClusterError:
            replica.stop()
            copy_primary(self._server(PRIMARY), replica)
            replica.start(self.timeout_seconds)
            replica.wait_for_streaming(self.timeout_seconds)
