"""Where do the servers of a cluster live, how do PostgreSQL's programs run there, and how do others find it?

What is remembered of a cluster on disk shows also when it is stale.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from django_gmf_router.testing.machine import HOST, Account, LocalClusterError
from django_gmf_router.testing.processes import is_alive

Row = tuple["str | None", ...]

SUPERUSER = "postgres"
REPLICATION_USER = "gmf_replication"
NODES = "nodes"
PASSWORD_FILE = "passwords"  # noqa: S105  (the name of a file)
NULL = "\x1aNULL\x1a"
PSQL_OPTIONS = ("-Xqt", "--csv", "-P", f"null={NULL}", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose")
COMPLAINT = re.compile(r"error|fatal", re.IGNORECASE)
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


class Home:
    """The directory of a cluster's servers: data, logs and passwords.

    Passwords travel in a file that libpq reads, never on a command line. The caller's PG* variables are not
    passed on: they speak of other servers.
    """

    def __init__(self, path: Path, *, bin_dir: Path, account: Account) -> None:
        self.path = path
        self.bin_dir = bin_dir
        self.account = account
        # What the servers' user owns: data and logs.
        self.nodes = path / NODES

    def make_passwords(self, user: str) -> None:
        """Make up the passwords of all roles; the file has libpq's format (manual: "The Password File")."""
        names = (SUPERUSER, REPLICATION_USER, user)
        lines = [f"{HOST}:*:*:{name}:{secrets.token_hex(16)}\n" for name in names]
        self.account.write_private(self.path / PASSWORD_FILE, "".join(lines))

    def passwords(self) -> dict[str, str]:
        """Return the passwords by the name of the role."""
        fields = [line.split(":") for line in (self.path / PASSWORD_FILE).read_text().splitlines()]
        return {user: password for _, _, _, user, password in fields}

    def run(self, program: str, *args: str, timeout_seconds: float) -> None:
        """Run a program as the servers' user; raises LocalClusterError with what it said."""
        # In `home`, so that whatever is left over after a crash is found by its working directory.
        options: dict[str, Any] = {"cwd": self.path, "umask": 0o077}
        if self.account.is_other:
            options |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        late = f"{program} did not end within {timeout_seconds:g} s"
        self._output([program, *args], f"{program} failed", late, timeout=timeout_seconds, **options)

    def query(self, node: str, port: int, sql: str, *, database: str, timeout_seconds: float) -> list[Row]:
        """Run SQL as superuser and return the rows of all its statements, values as text, NULL as None.

        Raises LocalClusterError when the server refuses it or does not answer in time.
        """
        target = ("-h", HOST, "-p", str(port), "-U", SUPERUSER, "-d", database, "-w")
        late = f"{node} did not answer within {timeout_seconds:g} s: thaw it if it is frozen"
        # By stdin, since anybody can read command lines and SQL may hold a password.
        options = {"input": sql.encode(), "timeout": timeout_seconds}
        output = self._output(["psql", *target, *PSQL_OPTIONS], node, late, **options)
        lines = csv.reader(io.StringIO(output.decode(), newline=""))
        # psql prints a row of one empty value as an empty line.
        return [tuple(None if value == NULL else value for value in line) or ("",) for line in lines]

    def redact(self, output: bytes) -> str:
        """Return a program's output without the cluster's passwords."""
        text = output.decode(errors="replace")
        for password in self.passwords().values():
            text = text.replace(password, "***")
        return text

    def _output(self, command: list[str], subject: str, late: str, **options: Any) -> bytes:
        """Return what a program prints; `subject` and `late` say what failed, or took too long."""
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        ours = {"HOME": str(self.path), "PGPASSFILE": str(self.path / PASSWORD_FILE)}
        environment = {**kept, **ours, "LC_ALL": "C", "PGCLIENTENCODING": "UTF8"}
        program = [str(self.bin_dir / command[0]), *command[1:]]
        try:
            done: subprocess.CompletedProcess[bytes] = subprocess.run(
                program, capture_output=True, check=False, env=environment, **options
            )
        except subprocess.TimeoutExpired:
            raise LocalClusterError(late) from None
        if done.returncode != 0:
            lines = self.redact(done.stderr).strip().splitlines() or ["no message"]
            raise LocalClusterError(f"{subject}: {next(filter(COMPLAINT.search, lines), lines[0])}")
        return done.stdout


# The file by which others find it

FILE = "cluster.json"
ENV_FILE = "env"
IGNORE_FILE = ".gitignore"
IGNORE_ALL = "*\n"
TOKEN_FILE = "token"  # noqa: S105  (the name of a file)
VERSION = 2
# How far two readings of when a process began may differ, if the clock was set meanwhile.
CLOCK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """The process that brought a cluster up, told from a later one with the same pid by when it began."""

    pid: int
    began: float

    @classmethod
    def myself(cls) -> Maker:
        """Return this process."""
        return cls(pid=os.getpid(), began=psutil.Process().create_time())

    def lives(self) -> bool:
        """Return whether the process has not ended."""
        try:
            process = psutil.Process(self.pid)
            return is_alive(process) and abs(process.create_time() - self.began) < CLOCK_SECONDS
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """What a state file says."""

    directory: Path
    home: Path
    """What the servers own. It carries the same `token` in a file, so that nothing else is ever removed."""
    bin_dir: Path
    token: str
    database: str
    user: str
    made_directory: bool
    maker: Maker
    detached: bool
    """Whether it outlives its maker."""
    starting: bool
    ports: dict[str, int]
    """By the name of the node, the primary first."""

    def save(self, *, first: bool = False) -> None:
        """Write the file in one step: a reader sees the old state or the new one.

        first: raise FileExistsError where there is one, since another process was faster.
        """
        path = self.directory / FILE
        fresh = path.with_suffix(f".{os.getpid()}")
        write_secret(fresh, json.dumps({"version": VERSION, **asdict(self)}, default=str, indent=1))
        if not first:
            fresh.replace(path)
            return
        try:
            path.hardlink_to(fresh)
        finally:
            fresh.unlink()

    def owns_home(self) -> bool:
        """Return whether the home is the cluster's own."""
        try:
            return (self.home / TOKEN_FILE).read_text() == self.token
        except OSError:
            return False

    def remove(self) -> None:
        """Remove every file of the cluster; the directory too if the cluster made it and it is empty then."""
        if self.owns_home():
            shutil.rmtree(self.home)
        ignore = self.directory / IGNORE_FILE
        # Not the user's own.
        ours = [ignore] if ignore.exists() and ignore.read_text() == IGNORE_ALL else []
        for path in (*ours, self.directory / ENV_FILE, *self.directory.glob("cluster.*")):
            path.unlink(missing_ok=True)
        if self.made_directory and self.directory.exists() and not any(self.directory.iterdir()):
            self.directory.rmdir()


def load(directory: Path) -> ClusterState | None:
    """Return the state in a directory, None if there is none; raises LocalClusterError if it makes no sense."""
    path = directory / FILE
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        if data.pop("version") != VERSION:
            raise LocalClusterError(f"{path} is of another version of this package: remove it")
        paths = {name: Path(data[name]) for name in ("home", "bin_dir")}
        known = {"directory": directory, "maker": Maker(**data["maker"]), "ports": dict(data["ports"]), **paths}
        return ClusterState(**{**data, **known})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"{path} is not a cluster's state ({type(error).__name__}): remove it"
        raise LocalClusterError(message) from error


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
