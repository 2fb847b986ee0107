"""What is remembered of a local cluster on disk, so that others find it, and see when it is stale?"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from django_gmf_router.testing.machine import LocalClusterError
from django_gmf_router.testing.processes import is_alive

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
