"""How is a whole cluster brought up and found again?"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

from django_gmf_router.testing import server
from django_gmf_router.testing.home import (
    ENV_FILE,
    IGNORE_ALL,
    IGNORE_FILE,
    NODES,
    REPLICATION_USER,
    SUPERUSER,
    TOKEN_FILE,
    ClusterState,
    Home,
    Maker,
    load,
    write_secret,
)
from django_gmf_router.testing.machine import (
    HOST,
    Account,
    LocalClusterError,
    PortTakenError,
    find_programs,
    free_ports,
    server_account,
    within_reach,
)
from django_gmf_router.testing.server import Server, each
from django_gmf_router.testing.watchdog import Tether, end_cluster

PRIMARY = "primary"
PREFIX = "gmf-cluster-"
PORT_ATTEMPTS = 5
MOST_REPLICAS = 8
URL = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """What a cluster shall be like; raises LocalClusterError for one that cannot be."""

    replicas: int
    directory: Path | None
    bin_dir: Path | None
    base_port: int | None
    database: str
    user: str
    timeout_seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.replicas <= MOST_REPLICAS:
            raise LocalClusterError(f"{self.replicas} replicas: choose between 0 and {MOST_REPLICAS}")
        for name in (self.database, self.user):
            # They are written to files and SQL as they are.
            if not name.isidentifier() or name.startswith("pg_"):
                raise LocalClusterError(f"{name!r} is no name for a database or role: use letters, digits and _")
            if name in {SUPERUSER, REPLICATION_USER, "template0", "template1"}:
                raise LocalClusterError(f"{name!r} is used by the cluster itself: choose another name")

    @property
    def names(self) -> list[str]:
        """The names of the nodes."""
        return [PRIMARY, *(f"replica_{number}" for number in range(1, self.replicas + 1))]


class Running:
    """A cluster that stands: its state on disk and its servers."""

    def __init__(self, state: ClusterState, tether: Tether | None = None) -> None:
        self.state = state
        self._tether = tether
        self._pid = os.getpid()
        self.home = Home(state.home, bin_dir=state.bin_dir, account=server_account())
        self.servers = {name: Server(name, port, self.home) for name, port in state.ports.items()}

    def access(self, node: str) -> dict[str, str]:
        """Return how the site's role connects to a node, under the names of Django's DATABASES."""
        database, user = self.state.database, self.state.user
        who = {"NAME": database, "USER": user, "PASSWORD": self.home.passwords()[user]}
        return {**who, "HOST": HOST, "PORT": str(self.servers[node].port)}

    def start(self, servers: Sequence[Server], timeout_seconds: float) -> None:
        """Start the servers that are stopped, at the same time, and return when all take queries."""
        stopped = [server for server in servers if server.state() == "stopped"]
        each(lambda server: server.start(timeout_seconds), stopped)

    def remember(self, **changes: object) -> None:
        """Change the state, here and on disk."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self.state.save()

    def end(self) -> None:
        """End the servers, remove the files, let the watchdog go."""
        # A forked child has a copy of this object, but the cluster is its parent's.
        if os.getpid() != self._pid:
            return
        end_cluster(self.state)
        if self._tether is not None:
            self._tether.release()


def attach(directory: Path) -> Running:
    """Return the cluster in a directory; raises LocalClusterError if there is none that stands."""
    state = load(directory)
    if state is None or not state.owns_home():
        raise _nothing_in(directory)
    return Running(state)


def clear(directory: Path) -> None:
    """End the cluster in a directory, whatever a crash left of it; raises LocalClusterError if there is none."""
    state = load(directory)
    if state is None:
        raise _nothing_in(directory)
    end_cluster(state)


def clear_orphans() -> None:
    """End the temporary clusters of this user whose maker was killed, and their watchdog with it."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # What somebody else can write may name servers and files that are not his. A watchdog may be faster.
        with suppress(LocalClusterError, FileNotFoundError):
            mine = directory.stat().st_uid == os.getuid()
            state = load(directory) if mine else None
            if state is not None and not (state.detached or state.maker.lives()):
                end_cluster(state)


def _nothing_in(directory: Path) -> LocalClusterError:
    remedy = "name its directory (--directory), or bring one up (manage.py gmf_cluster up)"
    return LocalClusterError(f"no cluster in {directory}: {remedy}")


def bring_up(options: ClusterOptions, *, detached: bool, tell: Tell) -> tuple[Running, bool]:
    """Return the cluster, and whether it was made by this call."""
    old = load(options.directory) if options.directory is not None else None
    if old is not None and _stands(old):
        tell(f"a cluster stands in {old.directory} already")
        running = Running(old)
        running.start(list(running.servers.values()), options.timeout_seconds)
        return running, False
    if old is not None:
        tell(f"clearing away what is left of a cluster in {old.directory}")
        end_cluster(old)
    clear_orphans()
    return _make(options, detached=detached, tell=tell), True


def _stands(state: ClusterState) -> bool:
    if state.maker.lives() and not state.detached:
        raise LocalClusterError(
            f"the cluster in {state.directory} belongs to the running process {state.maker.pid}: "
            "end that or choose another directory"
        )
    if state.maker.lives() and state.starting:
        raise LocalClusterError(
            f"process {state.maker.pid} is bringing up the cluster in {state.directory}: wait for it"
        )
    # One whose servers are all gone, as after a reboot, is of no use to anybody.
    whole = state.detached and not state.starting and state.owns_home()
    return whole and any(server.process() is not None for server in Running(state).servers.values())


def _make(options: ClusterOptions, *, detached: bool, tell: Tell) -> Running:
    programs, account = find_programs(options.bin_dir), server_account()
    ports = dict(zip(options.names, free_ports(len(options.names), options.base_port), strict=True))
    with ExitStack() as undo:
        directory, made = _directory(options.directory, account, undo)
        home = _private_directory(account, directory if account.may_enter(directory) else None, undo)
        (home / NODES).mkdir(mode=0o700)
        account.give(home / NODES)
        token = secrets.token_hex(16)
        (home / TOKEN_FILE).write_text(token)
        state = ClusterState(
            directory=directory,
            home=home,
            bin_dir=programs.directory,
            token=token,
            database=options.database,
            user=options.user,
            made_directory=made,
            maker=Maker.myself(),
            detached=detached,
            starting=True,
            ports=ports,
        )
        # Before it is there: Ctrl-C may come at any moment.
        undo.callback(_end_own, state)
        try:
            # By a hard link, which only one of two processes can make.
            state.save(first=True)
        except FileExistsError:
            message = f"another process is bringing up the cluster in {directory}: wait for it"
            raise LocalClusterError(message) from None
        running = Running(state, None if detached else Tether(directory))
        undo.callback(running.end)
        if all(path.match(f"{PREFIX}*") or path.match("cluster.*") for path in directory.iterdir()):
            # Passwords and much data: as venv and pytest do, but without hiding the files of others.
            (directory / IGNORE_FILE).write_text(IGNORE_ALL)
        _fill(running, options, programs.major, tell)
        # From here on it stands, and is ended by whoever asked for it.
        undo.pop_all()
    return running


def _directory(wanted: Path | None, account: Account, undo: ExitStack) -> tuple[Path, bool]:
    """Return the directory of the state, and whether it was made."""
    if wanted is None:
        return _private_directory(account, None, undo), True
    try:
        wanted.mkdir(parents=True)
    except OSError as error:
        if wanted.is_dir():
            return wanted, False
        raise LocalClusterError(f"cannot make {wanted}: {error.strerror}") from error
    undo.callback(_remove_empty, wanted)
    return wanted, True


def _remove_empty(directory: Path) -> None:
    with suppress(OSError):
        directory.rmdir()


def _end_own(state: ClusterState) -> None:
    """End what this process has begun, and nothing of another one that was faster."""
    found = load(state.directory)
    if found is not None and found.token == state.token:
        end_cluster(found)


def _private_directory(account: Account, above: Path | None, undo: ExitStack) -> Path:
    """Make a directory that the servers' user passes through, but does not look around in."""
    # Not mkdtemp(): where Ctrl-C comes as that returns, nobody knows the name.
    directory = Path(above or tempfile.gettempdir(), f"{PREFIX}{secrets.token_hex(8)}")
    undo.callback(rmtree, directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    directory.chmod(0o711 if account.is_other else 0o700)
    return directory


def _fill(running: Running, options: ClusterOptions, major: int, tell: Tell) -> None:
    """Make the data, start the servers, and tell how to connect."""
    home = running.home
    home.bin_dir = within_reach(home.bin_dir, home.account, home.path / "programs")
    running.remember(bin_dir=home.bin_dir)
    home.make_passwords(options.user)
    primary, *replicas = running.servers.values()
    tell(f"{PRIMARY}: creating its data")
    server.init_primary(primary, major)
    _start(running, [primary], options, tell)
    server.create_roles(primary, options.database, options.user)
    if replicas:
        tell(f"{', '.join(replica.name for replica in replicas)}: copying the primary")
        server.copy_to_all(primary, replicas)
        _start(running, replicas, options, tell)
        each(lambda replica: replica.wait_for_streaming(options.timeout_seconds), replicas)
    url, *urls = (URL.format(**running.access(node)) for node in running.servers)
    lines = f"DATABASE_URL='{url}'\nDATABASE_REPLICA_URLS='{','.join(urls)}'\n"
    write_secret(running.state.directory / ENV_FILE, lines)
    running.remember(starting=False)


def _start(
    running: Running, servers: Sequence[Server], options: ClusterOptions, tell: Tell, attempts: int = PORT_ATTEMPTS
) -> None:
    """Start new servers; unless ports were asked for, one that was snatched away meanwhile is replaced."""
    try:
        running.start(servers, options.timeout_seconds)
    # A port that was free when it was looked for may be taken when the server binds it.
    except PortTakenError:
        if options.base_port is not None or attempts == 1:
            raise
        unlucky = [server for server in servers if server.state() == "stopped"]
        for server, port in zip(unlucky, free_ports(len(unlucky)), strict=True):
            server.port = port
            running.remember(ports={**running.state.ports, server.name: server.port})
        _start(running, servers, options, tell, attempts - 1)
    else:
        for server in servers:
            tell(f"{server.name}: takes queries on port {server.port}")
