"""How does a test get a real primary and real replicas on this machine, and break them?"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from django_gmf_router.testing import lifecycle, replication
from django_gmf_router.testing.build import check_names, copy_primary
from django_gmf_router.testing.connections import Access
from django_gmf_router.testing.errors import LocalClusterError
from django_gmf_router.testing.node import Node
from django_gmf_router.testing.programs import Row
from django_gmf_router.testing.values import NodeStatus

PRIMARY = lifecycle.PRIMARY
Progress = Callable[[str], None]
Result = TypeVar("Result")


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
        check_names(database, user)
        self.timeout_seconds = timeout_seconds
        self._plan = lifecycle.Plan(
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
        replicas = len(state.nodes) - 1
        cluster = cls(replicas, directory=directory, database=state.database, user=state.user)
        cluster._running = running
        return cluster

    def __enter__(self) -> LocalCluster:
        return self.up()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # One that stood before the block goes on after it.
        if self._started_here:
            self.down()

    def __repr__(self) -> str:
        nodes = {node.name: node.port for node in self._nodes()} if self._running else "down"
        return f"<LocalCluster {nodes}>"

    # As a whole

    def up(self, *, detached: bool = False, progress: Progress | None = None) -> LocalCluster:
        """Bring the cluster up; of one that stands already in the same directory only start stopped nodes.

        A detached cluster outlives this process and is ended by `down()`, here or elsewhere.
        """
        if self._running is None:
            tell = progress or _silent
            self._running, self._started_here = lifecycle.bring_up(self._plan, detached=detached, tell=tell)
        return self

    def down(self) -> None:
        """End all servers and remove all files, also those of a crashed cluster in the same directory."""
        if self._running is not None:
            self._running.end()
        elif self._plan.directory is not None:
            lifecycle.clear(self._plan.directory)
        self._running = None
        self._started_here = False

    def status(self) -> list[NodeStatus]:
        """Return what there is to know of each node, empty when the cluster is down."""
        return _each(_status, self._nodes()) if self._running else []

    def heal(self) -> list[str]:
        """Bring back whatever was broken and return the names of the nodes that were.

        Frozen nodes thaw, stopped ones start, paused ones replay; a replica that was promoted or lost its
        place is made anew from a base backup. Returns when all replicas receive from the primary.
        """
        broken = [node for node in self._nodes() if node.state() != "running"]
        for node in broken:
            self._revive(node)
        lame = [node for node in _each(replication.if_lame, self._replicas()) if node is not None]
        for node in lame:
            self._cure(node)
        return sorted({node.name for node in (*broken, *lame)})

    # One node

    def kill(self, node: str) -> None:
        """Kill a server: SIGQUIT, so that it ends at once as in a crash; returns when it is gone."""
        self._node(node).kill()

    def restart(self, node: str) -> None:
        """Stop a server if it runs, start it, and return when it takes queries."""
        server = self._node(node)
        server.stop()
        self._start(server)

    def freeze(self, node: str) -> None:
        """Stop a server's processes (SIGSTOP): it accepts TCP connections but answers no query."""
        self._node(node).freeze()

    def thaw(self, node: str) -> None:
        """Let a frozen server go on."""
        self._node(node).thaw()

    def pause(self, node: str) -> None:
        """Pause the replay on a replica and return when it stands: what it shows grows old."""
        replication.pause(self._replica(node), self.timeout_seconds)

    def resume(self, node: str) -> None:
        """Let a replica replay again."""
        replication.resume(self._replica(node))

    def promote(self, node: str) -> None:
        """Make a replica a primary and return when it takes writes; others go on following the old one."""
        replication.promote(self._node(node), self.timeout_seconds)

    def wait_for_replay(self, node: str | None = None, timeout_seconds: float = 10) -> None:
        """Wait until a replica, or all, have replayed everything the primary has committed so far."""
        replicas = self._replicas() if node is None else [self._replica(node)]
        replication.wait_for_replay(self._node(PRIMARY), replicas, timeout_seconds)

    def execute(self, node: str, sql: str, *, database: str | None = None, timeout_seconds: float = 10) -> list[Row]:
        """Run SQL on a node as superuser, without a driver, and return the rows of all its statements.

        Values are text as PostgreSQL prints it, None for NULL. Several statements are several transactions.
        """
        server = self._node(node)
        return server.query(sql, database=database or self._plan.database, timeout_seconds=timeout_seconds)

    # How to connect

    @property
    def directory(self) -> Path:
        """The directory that holds the cluster's state."""
        return self._up().state.directory

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes, the primary first."""
        return [node.name for node in self._nodes()]

    def port(self, node: str) -> int:
        return self._node(node).port

    def dsn(self, node: str) -> str:
        """Return a connection string of libpq for the site's role, with its password."""
        return self._access().dsn(self._node(node).name)

    def url(self, node: str) -> str:
        """Return a URL for the site's role, with its password, as in DATABASE_URL."""
        return self._access().url(self._node(node).name)

    def databases(self, engine: str = "django_gmf_router.backends.postgresql", mirror: bool = False) -> dict[str, Any]:
        """Return Django's DATABASES: "default" is the primary, replicas have read-only sessions.

        With `mirror` the replicas are mirrors of the primary in Django's test runner, whose transactions no
        replica would ever see.
        """
        names = [node.name for node in self._replicas()]
        return self._access().databases(PRIMARY, names, engine, mirror=mirror)

    def _access(self) -> Access:
        return self._up().access()

    def _up(self) -> lifecycle.Running:
        if self._running is None:
            raise LocalClusterError("the cluster is down: call up(), or use it in a with statement")
        self._running.refresh()
        return self._running

    def _nodes(self) -> list[Node]:
        return list(self._up().nodes.values())

    def _replicas(self) -> list[Node]:
        return self._nodes()[1:]

    def _node(self, name: str) -> Node:
        nodes = self._up().nodes
        wanted = PRIMARY if name == "default" else name
        if wanted not in nodes:
            raise LocalClusterError(f"no node {name!r} in this cluster: there are {', '.join(nodes)}")
        return nodes[wanted]

    def _replica(self, name: str) -> Node:
        node = self._node(name)
        if node.name == PRIMARY:
            raise LocalClusterError(f"{PRIMARY} replays nothing: name a replica")
        return node

    def _start(self, node: Node) -> None:
        self._up().start([node])

    def _revive(self, node: Node) -> None:
        if node.state() == "frozen":
            node.thaw()
        else:
            self._start(node)

    def _cure(self, node: Node) -> None:
        """Let a running replica follow again; by a new base backup if it does not by itself."""
        try:
            replication.resume(node)
            replication.wait_for_streaming([node], timeout_seconds=2)
        except LocalClusterError:
            node.stop()
            copy_primary(self._node(PRIMARY), node)
            self._start(node)
            replication.wait_for_streaming([node], self.timeout_seconds)


def _silent(line: str) -> None:
    """Be the progress that nobody wants to see."""


def _each(function: Callable[[Node], Result], nodes: Sequence[Node]) -> list[Result]:
    with ThreadPoolExecutor(max_workers=max(1, len(nodes))) as pool:
        return list(pool.map(function, nodes))


def _status(node: Node) -> NodeStatus:
    role = replication.role_of(node)
    pid = node.process.pid if node.process is not None and node.process.alive() else None
    return NodeStatus(name=node.name, role=role, port=node.port, state=node.state(), pid=pid)
