"""How is a whole cluster brought up, found again and ended?"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

from django_gmf_router.testing import build, replication
from django_gmf_router.testing.accounts import Account, server_account
from django_gmf_router.testing.binaries import find_bin_dir, major_version, within_reach
from django_gmf_router.testing.cleanup import end_cluster
from django_gmf_router.testing.connections import Access
from django_gmf_router.testing.errors import LocalClusterError, PortTakenError
from django_gmf_router.testing.node import Node
from django_gmf_router.testing.ports import free_ports
from django_gmf_router.testing.processes import Process
from django_gmf_router.testing.programs import Programs
from django_gmf_router.testing.state import ENV_FILE, TOKEN_FILE, ClusterState, NodeState, load
from django_gmf_router.testing.tether import Tether

PRIMARY = "primary"
PREFIX = "gmf-cluster-"
PORT_ATTEMPTS = 5
MOST_REPLICAS = 8

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a cluster shall be like."""

    replicas: int
    directory: Path | None
    bin_dir: Path | None
    base_port: int | None
    database: str
    user: str
    timeout_seconds: float

    def names(self) -> list[str]:
        return [PRIMARY, *(f"replica_{number}" for number in range(1, self.replicas + 1))]


class Running:
    """A cluster that stands: its state on disk and its servers."""

    def __init__(self, state: ClusterState, timeout_seconds: float, tether: Tether | None = None) -> None:
        self.state = state
        self.timeout_seconds = timeout_seconds
        self.tether = tether
        self._pid = os.getpid()
        self.programs = Programs(bin_dir=state.bin_dir, home=state.home, account=server_account())
        self.nodes = {
            name: Node(name=name, port=node.port, programs=self.programs, process=node.process)
            for name, node in state.nodes.items()
        }

    def access(self) -> Access:
        state = self.state
        ports = {name: node.port for name, node in self.nodes.items()}
        password = self.programs.passwords()[state.user]
        return Access(ports=ports, database=state.database, user=state.user, password=password)

    def start(self, nodes: Sequence[Node]) -> None:
        """Start the servers that are stopped, at the same time, and return when all take queries."""
        for node in (node for node in nodes if node.state() == "stopped"):
            node.launch()
            self.remember(self.state.with_process(node.name, node.process))
        for node in nodes:
            node.wait_until_ready(self.timeout_seconds)

    def refresh(self) -> None:
        """Take notice of servers that another process has started anew."""
        if all(node.state() != "stopped" for node in self.nodes.values()):
            return
        state = load(self.state.directory)
        if state is None or state.token != self.state.token:
            return
        self.state = state
        for name, node in self.nodes.items():
            node.process = state.nodes[name].process

    def remember(self, state: ClusterState) -> None:
        self.state = state
        state.save()

    def end(self) -> None:
        """End the servers, remove the files, let the watchdog go."""
        # A forked child has a copy of this object, but the cluster is its parent's.
        if os.getpid() != self._pid:
            return
        end_cluster(self.state)
        if self.tether is not None:
            self.tether.release()


def attach(directory: Path) -> Running:
    """Find the cluster in a directory; raises LocalClusterError if there is none that stands."""
    state = load(directory)
    if state is None or not state.owns_home():
        raise LocalClusterError(f"no cluster in {directory}: bring one up (manage.py gmf_cluster up)")
    return Running(state, timeout_seconds=30.0)


def clear(directory: Path) -> None:
    """End the cluster in a directory, whatever is left of it."""
    state = load(directory)
    if state is not None:
        end_cluster(state)


def bring_up(plan: Plan, *, detached: bool, tell: Tell) -> tuple[Running, bool]:
    """Return the plan's cluster and whether it was started by this call."""
    old = load(plan.directory) if plan.directory is not None else None
    if old is not None and _stands(old):
        tell(f"a cluster stands in {old.directory} already")
        running = Running(old, plan.timeout_seconds)
        # Not those that are frozen: they would not get ready.
        running.start([node for node in running.nodes.values() if node.state() == "stopped"])
        return running, False
    if old is not None:
        tell(f"clearing away what is left of a cluster in {old.directory}")
        end_cluster(old)
    return _build(plan, detached=detached, tell=tell), True


def _stands(state: ClusterState) -> bool:
    if state.owner is not None and state.owner.alive():
        raise LocalClusterError(
            f"the cluster in {state.directory} belongs to the running process {state.owner.pid}: "
            "end that or choose another directory"
        )
    if state.starting and state.builder is not None and state.builder.alive():
        raise LocalClusterError(
            f"process {state.builder.pid} is bringing up the cluster in {state.directory}: wait for it"
        )
    return state.owner is None and not state.starting and bool(state.processes()) and state.owns_home()


def _build(plan: Plan, *, detached: bool, tell: Tell) -> Running:
    if not 0 <= plan.replicas <= MOST_REPLICAS:
        raise LocalClusterError(f"{plan.replicas} replicas: choose between 0 and {MOST_REPLICAS}")
    bin_dir, account = find_bin_dir(plan.bin_dir), server_account()
    ports = free_ports(len(plan.names()), plan.base_port)
    version = major_version(bin_dir)
    with ExitStack() as undo:
        state = _make_directories(plan, bin_dir, account, detached=detached, undo=undo)
        nodes = {name: NodeState(port=port) for name, port in zip(plan.names(), ports, strict=True)}
        state = replace(state, nodes=nodes)
        state.save()
        running = Running(state, plan.timeout_seconds, None if detached else Tether(state.directory))
        undo.callback(running.end)
        _fill(running, plan, version, tell)
        undo.pop_all()
    return running


def _make_directories(plan: Plan, bin_dir: Path, account: Account, *, detached: bool, undo: ExitStack) -> ClusterState:
    directory, made = _directory(plan.directory)
    if made:
        undo.callback(rmtree, directory, ignore_errors=True)
    inside = plan.directory is None or account.may_enter(directory)
    home = Path(tempfile.mkdtemp(prefix=PREFIX, dir=directory if inside else None))
    undo.callback(rmtree, home, ignore_errors=True)
    # The servers' user passes through, but does not look around.
    for path in {home, *([directory] if plan.directory is None else [])}:
        path.chmod(0o711 if account.is_other else 0o700)
    token, myself = secrets.token_hex(16), Process.find(os.getpid())
    (home / TOKEN_FILE).write_text(token)
    nodes = home / "nodes"
    nodes.mkdir(mode=0o700)
    account.give(nodes)
    return ClusterState(
        directory=directory,
        home=home,
        bin_dir=bin_dir,
        token=token,
        database=plan.database,
        user=plan.user,
        made_directory=made,
        owner=None if detached else myself,
        builder=myself,
    )


def _directory(wanted: Path | None) -> tuple[Path, bool]:
    if wanted is None:
        return Path(tempfile.mkdtemp(prefix=PREFIX)), True
    made = not wanted.exists()
    try:
        wanted.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalClusterError(f"cannot make {wanted}: {error.strerror}") from error
    return wanted, made


def _fill(running: Running, plan: Plan, version: int, tell: Tell) -> None:
    _bring_within_reach(running)
    build.write_passwords(running.programs, plan.user)
    primary = running.nodes[PRIMARY]
    tell(f"{PRIMARY}: creating its data")
    build.init_primary(primary, version)
    _start(running, [primary], plan, tell)
    build.create_roles(primary, plan.database, plan.user)
    replicas = list(running.nodes.values())[1:]
    if replicas:
        tell(f"{', '.join(node.name for node in replicas)}: copying the primary")
        build.copy_to_all(primary, replicas)
        _start(running, replicas, plan, tell)
        replication.wait_for_streaming(replicas, plan.timeout_seconds)
    _write_environment(running, [node.name for node in replicas])
    running.remember(replace(running.state, starting=False))


def _bring_within_reach(running: Running) -> None:
    programs = running.programs
    programs.bin_dir = within_reach(programs.bin_dir, programs.account, running.state.home / "programs")
    running.remember(replace(running.state, bin_dir=programs.bin_dir))


def _start(running: Running, nodes: Sequence[Node], plan: Plan, tell: Tell, attempts: int = PORT_ATTEMPTS) -> None:
    """Start new servers; unless ports were asked for, one that was snatched away meanwhile is replaced."""
    try:
        running.start(nodes)
    except PortTakenError:
        if plan.base_port is not None or attempts == 1:
            raise
        _renumber(running, [node for node in nodes if node.state() == "stopped"])
        _start(running, nodes, plan, tell, attempts - 1)
    else:
        for node in nodes:
            tell(f"{node.name}: takes queries on port {node.port}")


def _renumber(running: Running, nodes: Sequence[Node]) -> None:
    states = dict(running.state.nodes)
    for node, port in zip(nodes, free_ports(len(nodes)), strict=True):
        node.port = port
        states[node.name] = NodeState(port=port)
    running.remember(replace(running.state, nodes=states))


def _write_environment(running: Running, replicas: Sequence[str]) -> None:
    text = running.access().environment(PRIMARY, replicas)
    path = running.state.directory / ENV_FILE
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
