"""What does this machine give to a local cluster: programs, a user to run them as, free ports?"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import socket
import stat
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from django_gmf_router.postgres import programs
from django_gmf_router.postgres.programs import Programs, ProgramsMissing

NEEDED = ("initdb", "postgres", "pg_ctl", "pg_basebackup", "psql")
OLDEST_VERSION = 14
INSTALL = 'pip install "django-gmf-router[cluster]"'
NOT_NEEDED = ("*.a", "pkgconfig", "pgxs", "include")

USERS = ("postgres", "nobody")

HOST = "127.0.0.1"
LOWEST_PORT = 1024
HIGHEST_PORT = 65535
FIRST_PORT = 15000
ATTEMPTS = 200
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
DEFAULT_END = 32768


class LocalClusterError(Exception):
    """A local cluster cannot do what it was asked to; the message names the node or file and the remedy."""


class PortTakenError(LocalClusterError):
    """The port chosen for a node is in use by somebody else."""


# Programs


def find_programs(given: str | os.PathLike[str] | None = None) -> Programs:
    """Return PostgreSQL's programs: those in the directory `given`, else the first that `postgres.programs` finds.

    Raises LocalClusterError where one is missing, or too old.
    """
    try:
        found = programs.find(NEEDED, given=given)
    except ProgramsMissing as error:
        raise LocalClusterError(error.with_remedy(INSTALL)) from None
    if found.major < OLDEST_VERSION:
        remedy = f"{INSTALL}, or set {programs.VARIABLE} to the directory of newer ones"
        raise LocalClusterError(
            f"{found.directory} holds PostgreSQL {found.major}, {OLDEST_VERSION} or later is needed: {remedy}"
        )
    return found


def within_reach(bin_dir: Path, account: Account, refuge: Path) -> Path:
    """Return a directory of the same programs which the servers' user can enter, if need be in a copy.

    A virtual environment of root is often below /root, which nobody else may enter. PostgreSQL finds its
    other directories relative to its programs, the wheel's programs find their libraries beside the package.
    """
    if account.may_enter(bin_dir):
        return bin_dir
    prefix = bin_dir.parent
    copy = refuge / prefix.parent.name / prefix.name
    libraries = f"{programs.WHEEL}.libs"
    parts = {prefix / name: copy / name for name in (bin_dir.name, "lib", "share")}
    parts |= {prefix.parents[1] / libraries: refuge / libraries, prefix.parent / ".dylibs": copy.parent / ".dylibs"}
    for source, target in parts.items():
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(*NOT_NEEDED))
    return copy / bin_dir.name


# Users


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of this machine; `uid` and `gid` are None where the servers run as ourselves."""

    uid: int | None = None
    gid: int | None = None

    @property
    def is_other(self) -> bool:
        """Return whether the servers run as another user than this process."""
        return self.uid is not None

    def give(self, path: Path) -> None:
        """Make the user the owner of a file or directory."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def write_private(self, path: Path, text: str) -> None:
        """Write a new file that only the user can read."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        self.give(path)

    def may_enter(self, path: Path) -> bool:
        """Return whether the user may go through a directory and all that are above it."""
        return not self.is_other or all(self._may_pass(each) for each in (path, *path.parents))

    def _may_pass(self, path: Path) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def server_account() -> Account:
    """Return whom to run the servers as: ourselves, or another user for root, which PostgreSQL refuses.

    Raises LocalClusterError when there is no such user.
    """
    if os.geteuid() != 0:
        return Account()
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise LocalClusterError(
        f"PostgreSQL does not run as root and there is no user {' or '.join(USERS)}: "
        "add one (useradd --system postgres) or do not run as root"
    )


# Ports


def free_ports(count: int, base_port: int | None = None) -> list[int]:
    """Return free ports: from `base_port` on, or any.

    Raises PortTakenError when one from `base_port` on is taken, LocalClusterError when none is free.
    """
    if base_port is not None:
        if not LOWEST_PORT <= base_port <= HIGHEST_PORT - count:
            raise LocalClusterError(f"port {base_port}: choose one from {LOWEST_PORT} to {HIGHEST_PORT - count}")
        return [require_free(port) for port in range(base_port, base_port + count)]
    # Not bind(0): that gives ports which outgoing connections use too, and while a node is killed any client
    # of the same machine could be given its port.
    first, end = FIRST_PORT, _first_ephemeral_port()
    candidates = random.sample(range(first, end), min(ATTEMPTS, end - first))
    free = list(islice(filter(is_free, candidates), count))
    if len(free) < count:
        raise LocalClusterError(f"no free port on {HOST} between {first} and {end - 1}: end some servers")
    return free


def require_free(port: int) -> int:
    """Return the port; raises PortTakenError when somebody listens there."""
    if not is_free(port):
        raise PortTakenError(f"port {port} is taken by another server: end it, or choose another port")
    return port


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port."""
    with socket.socket() as probe:
        # As PostgreSQL does: connections that just ended do not keep a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _first_ephemeral_port() -> int:
    try:
        first = int(EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return DEFAULT_END
    return first if first > FIRST_PORT + ATTEMPTS else DEFAULT_END
