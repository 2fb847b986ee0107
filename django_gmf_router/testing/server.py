"""How does one server of a local cluster come to its data, and how is it started and stopped, broken and mended?"""

from __future__ import annotations

import math
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import psutil

from django_gmf_router.postgres.names import quote
from django_gmf_router.testing import processes
from django_gmf_router.testing.home import REPLICATION_USER, SUPERUSER, Home, Row
from django_gmf_router.testing.machine import HOST, LocalClusterError, PortTakenError, require_free
from django_gmf_router.testing.processes import GRACE_SECONDS

POLL_SECONDS = 0.02
ROLE_TIMEOUT_SECONDS = 3.0
# Beyond pg_ctl's own time-out, which it tells of itself.
MARGIN_SECONDS = 5.0
LOG_LINES = 5
BIND_FAILURE = b"Address already in use"

# A committed record first, since it takes everything before it to disk: the flush position then covers
# commits with synchronous_commit=off too. Not the insert position: at rest it may point past a page header,
# a place that no replica ever reports.
FLUSHED = "SELECT pg_logical_emit_message(true, 'gmf', '') IS NULL; SELECT pg_current_wal_flush_lsn();"
STREAMING = "SELECT count(*) = 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One server of a local cluster."""

    name: str
    role: Literal["primary", "replica"] | None  # as the server itself says it, None while it cannot be asked
    port: int
    state: Literal["running", "frozen", "stopped"]
    pid: int | None


class Server:
    """A server: its data directory, its port and, while it runs, its process.

    Every method raises LocalClusterError where the server does not do as it is told.
    """

    def __init__(self, name: str, port: int, home: Home) -> None:
        self.name = name
        self.port = port
        self.home = home
        self.data = home.nodes / name
        self.log = home.nodes / f"{name}.log"

    def status(self) -> NodeStatus:
        """Return what there is to know of it."""
        process = self.process()
        pid = process.pid if process is not None else None
        return NodeStatus(name=self.name, role=self._role(), port=self.port, state=self.state(), pid=pid)

    def state(self) -> Literal["running", "frozen", "stopped"]:
        """Return the state of its process."""
        process = self.process()
        status = processes.status_of(process) if process is not None else None
        return "stopped" if status is None else "frozen" if status == psutil.STATUS_STOPPED else "running"

    def process(self) -> psutil.Process | None:
        """Return the process of the server, whoever started it; None where it is stopped."""
        return processes.server_of(self.data)

    def running(self) -> psutil.Process:
        """Return the process of a server that has to run."""
        process = self.process()
        if process is None:
            raise LocalClusterError(f"{self.name} is stopped: restart it first")
        return process

    def query(self, sql: str, *, database: str = SUPERUSER, timeout_seconds: float = GRACE_SECONDS) -> list[Row]:
        """Run SQL as superuser and return the rows as text."""
        return self.home.query(self.name, self.port, sql, database=database, timeout_seconds=timeout_seconds)

    def holds(self, sql: str) -> bool:
        """Return whether the server answers a question with true."""
        return self.query(sql) == [("t",)]

    # Its process

    def start(self, timeout_seconds: float) -> None:
        """Start the server and return when it takes queries; raises PortTakenError, or its last words if it dies."""
        require_free(self.port)
        processes.unlock(self.data)
        logged = self.log.stat().st_size if self.log.exists() else 0
        # The data directory once more: pg_ctl hands its own -D to a shell between double quotes, which a path with
        # a $ does not survive, and `processes.server_of` looks for the whole path.
        settings = f"-D {shlex.quote(str(self.data))} -c port={self.port} -c cluster_name={self.name}"
        try:
            self._pg_ctl("start", timeout_seconds, "-l", str(self.log.relative_to(self.home.path)), "-o", settings)
        except LocalClusterError as error:
            # What pg_ctl says of its own time-out, and what `Home.run` says of pg_ctl.
            if "in time" in str(error) or "did not end" in str(error):
                message = f"{self.name} took no queries within {timeout_seconds:g} s: see {self.log}"
                raise LocalClusterError(message) from None
            raise self._death(logged, str(error)) from None

    def stop(self, timeout_seconds: float = GRACE_SECONDS) -> None:
        """Shut the server down ("fast": open connections are cut); kill it if it takes longer."""
        process = self.process()
        if process is None:
            return
        processes.thaw(process)
        try:
            self._pg_ctl("stop", timeout_seconds, "-m", "fast")
        except LocalClusterError:
            # A primary waits for replicas to have received everything, a frozen one never has.
            processes.end([process])
        processes.wait_until_gone([process], GRACE_SECONDS)

    # Its part in replication

    def promote(self, timeout_seconds: float) -> None:
        """Make a replica a primary of its own and return when it takes writes."""
        if not self.holds("SELECT pg_is_in_recovery()"):
            raise LocalClusterError(f"{self.name} is a primary already: promote a replica")
        try:
            self._pg_ctl("promote", timeout_seconds)
        except LocalClusterError:
            message = f"{self.name} was not promoted within {timeout_seconds:g} s: see {self.log}"
            raise LocalClusterError(message) from None

    def pause(self, timeout_seconds: float) -> None:
        """Stop the replay of the write-ahead log and return when it stands."""
        self.query("SELECT pg_wal_replay_pause()")
        paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        _wait_for(lambda: self.holds(paused), timeout_seconds, f"{self.name} did not pause its replay")

    def resume(self) -> None:
        """Let a replica replay again."""
        self.query("SELECT pg_wal_replay_resume()")

    def is_whole(self) -> bool:
        """Return whether a running replica does what replicas do: follows, receives and replays."""
        try:
            return self.holds(f"SELECT pg_is_in_recovery() AND NOT pg_is_wal_replay_paused() AND ({STREAMING})")
        except LocalClusterError:
            # A server that is no replica refuses the question about its replay.
            return False

    def wait_for_streaming(self, timeout_seconds: float) -> None:
        """Wait until a replica receives from its primary."""
        message = f"{self.name} does not receive from the primary: see {self.log}"
        _wait_for(lambda: self.holds(STREAMING), timeout_seconds, message)

    def wait_for_replay(self, position: str | None, timeout_seconds: float) -> None:
        """Wait until a replica has replayed the primary's log up to a position."""
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        message = f"{self.name} did not replay {position}: is it paused, frozen or stopped?"
        _wait_for(lambda: self.holds(reached), timeout_seconds, message)

    def flushed(self) -> str | None:
        """Return the position up to which a primary has committed."""
        return self.query(FLUSHED)[-1][0]

    # Inside

    def _role(self) -> Literal["primary", "replica"] | None:
        if self.state() != "running":
            return None
        try:
            rows = self.query("SELECT pg_is_in_recovery()", timeout_seconds=ROLE_TIMEOUT_SECONDS)
        except LocalClusterError:
            return None
        return "replica" if rows == [("t",)] else "primary"

    def _pg_ctl(self, verb: str, timeout_seconds: float, *options: str) -> None:
        data = str(self.data.relative_to(self.home.path))
        waiting = ("-s", "-w", "-t", str(math.ceil(timeout_seconds)))
        seconds = timeout_seconds + MARGIN_SECONDS
        self.home.run("pg_ctl", verb, "-D", data, *waiting, *options, timeout_seconds=seconds)

    def _death(self, logged: int, complaint: str) -> LocalClusterError:
        """Return why the server ended while it started: its log after `logged` bytes, else what pg_ctl said."""
        output = self.log.read_bytes()[logged:] if self.log.exists() else b""
        if BIND_FAILURE in output:
            return PortTakenError(f"port {self.port} of {self.name} was taken by another server meanwhile")
        lines = self.home.redact(output).strip().splitlines()[-LOG_LINES:] or [complaint]
        return LocalClusterError(f"{self.name} died while starting: {' / '.join(lines)}")


def each(function: Callable[[Server], Result], servers: Sequence[Server]) -> list[Result]:
    """Return what a function returns for each server; they are asked at the same time."""
    with ThreadPoolExecutor(max_workers=max(1, len(servers))) as pool:
        return list(pool.map(function, servers))


def _wait_for(reached: Callable[[], bool], timeout_seconds: float, message: str) -> None:
    """Ask until it is so; raises LocalClusterError with the message when time is over."""
    deadline = time.monotonic() + timeout_seconds
    while not reached():
        if time.monotonic() > deadline:
            raise LocalClusterError(f"{message} (waited {max(0.0, timeout_seconds):.1f} s)")
        time.sleep(POLL_SECONDS)


# Its data

TIMEOUT_SECONDS = 60.0

# No sync to disk: the data is thrown away. Full page writes stay: a killed server recovers from its log.
# Two base backups at once each take a checkpoint, which may remove the segment that the other one is about to
# read: hence wal_keep_size. Replicas come back to a restarted primary after 0.1 s instead of 5 s.
CONFIGURATION = f"""
listen_addresses = '{HOST}'
unix_socket_directories = ''
wal_level = replica
hot_standby = on
hot_standby_feedback = off
fsync = off
max_connections = 200
max_wal_senders = 20
max_replication_slots = 20
wal_keep_size = '128MB'
wal_init_zero = off
shared_buffers = '16MB'
dynamic_shared_memory_type = mmap
wal_retrieve_retry_interval = '100ms'
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
"""
# Three I/O workers a server are nine processes more on a small machine.
CONFIGURATION_18 = "io_method = sync\n"


def init_primary(primary: Server, major: int) -> None:
    """Create the primary's data directory."""
    home = primary.home
    password_file = home.path / "superuser"
    home.account.write_private(password_file, home.passwords()[SUPERUSER])
    # Sorting by bytes, but upper() and friends know every letter.
    builtin = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8") if major >= 17 else ()  # noqa: PLR2004
    identity = ("-U", SUPERUSER, f"--pwfile={password_file}", "--auth=scram-sha-256")
    language = ("-E", "UTF8", "--locale=C", *builtin)
    options = (*identity, *language, "--no-sync", "--no-instructions")
    home.run("initdb", "-D", str(primary.data), *options, timeout_seconds=TIMEOUT_SECONDS)
    password_file.unlink()
    with (primary.data / "postgresql.conf").open("a") as file:
        file.write(CONFIGURATION + (CONFIGURATION_18 if major >= 18 else ""))  # noqa: PLR2004


def create_roles(primary: Server, database: str, user: str) -> None:
    """Create the roles of replication and of the site; the latter may create databases, as tests do."""
    passwords = primary.home.passwords()
    primary.query(
        f"CREATE ROLE {REPLICATION_USER} REPLICATION LOGIN PASSWORD '{passwords[REPLICATION_USER]}';"
        f"CREATE ROLE {quote(user)} LOGIN CREATEDB PASSWORD '{passwords[user]}';"
    )
    # On its own: CREATE DATABASE runs in no transaction.
    primary.query(f"CREATE DATABASE {quote(database)} OWNER {quote(user)};")


def copy_to_all(primary: Server, replicas: Sequence[Server]) -> None:
    """Make the data directories of new replicas at the same time."""
    slots = [f"SELECT pg_create_physical_replication_slot('{replica.name}', true);" for replica in replicas]
    primary.query("".join(slots))
    each(lambda replica: copy_primary(primary, replica), replicas)


def copy_primary(primary: Server, replica: Server) -> None:
    """Make a replica's data directory from a base backup, and let it follow the primary through its slot.

    Without the write-ahead log, which the slot keeps for it: padded segments are most of what there is to write.
    """
    if replica.data.exists():
        shutil.rmtree(replica.data)
    source = ("-h", HOST, "-p", str(primary.port), "-U", REPLICATION_USER, "-w")
    speed = ("--checkpoint=fast", "--no-sync", "--no-manifest")
    target = ("-D", str(replica.data), "-R", "-X", "none")
    primary.home.run("pg_basebackup", *source, *target, *speed, timeout_seconds=TIMEOUT_SECONDS)
    with (replica.data / "postgresql.auto.conf").open("a") as file:
        file.write(f"primary_slot_name = '{replica.name}'\n")
