"""What is remembered of a local cluster on disk, so that others find it, and see when it is stale?"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from django_gmf_router.testing.errors import LocalClusterError
from django_gmf_router.testing.processes import Process

FILE = "cluster.json"
ENV_FILE = "env"
TOKEN_FILE = "token"  # noqa: S105  (the name of a file)
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """One server: its port, and the process it was last started as."""

    port: int
    process: Process | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """What a state file says.

    `home` holds everything the servers own and carries the same `token` in a file, so that nothing else is
    ever removed. `owner` is the process that the cluster ends with, None for a cluster that outlives its
    command; `builder` the one that brings it up while `starting`.
    """

    directory: Path
    home: Path
    bin_dir: Path
    token: str
    database: str
    user: str
    made_directory: bool
    starting: bool = True
    owner: Process | None = None
    builder: Process | None = None
    nodes: dict[str, NodeState] = field(default_factory=dict)

    def with_process(self, name: str, process: Process | None) -> ClusterState:
        node = replace(self.nodes[name], process=process)
        return replace(self, nodes={**self.nodes, name: node})

    def processes(self) -> list[Process]:
        """Return the servers that live."""
        found = [node.process for node in self.nodes.values()]
        return [process for process in found if process is not None and process.alive()]

    def save(self) -> None:
        """Write the file in one step: a reader sees the old state or the new one."""
        path = self.directory / FILE
        fresh = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"version": VERSION, **asdict(self)}, file, default=str, indent=1)
        fresh.replace(path)

    def owns_home(self) -> bool:
        try:
            return (self.home / TOKEN_FILE).read_text() == self.token
        except OSError:
            return False

    def remove(self) -> None:
        """Remove every file of the cluster; the directory too if the cluster made it and it is empty then."""
        if self.owns_home():
            shutil.rmtree(self.home)
        for path in (self.directory / ENV_FILE, *self.directory.glob("cluster.*")):
            path.unlink(missing_ok=True)
        if self.made_directory and self.directory.exists() and not any(self.directory.iterdir()):
            self.directory.rmdir()


def load(directory: Path) -> ClusterState | None:
    """Read the state in a directory, None if there is none; raises LocalClusterError if it makes no sense."""
    path = directory / FILE
    try:
        data = json.loads(path.read_text())
        if data.pop("version") != VERSION:
            raise LocalClusterError(f"{path} is of another version of this package: remove it")
        return _parse(directory, data)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"{path} is not a cluster's state ({type(error).__name__}): remove it"
        raise LocalClusterError(message) from error


def _parse(directory: Path, data: dict[str, object]) -> ClusterState:
    nodes = data["nodes"]
    if not isinstance(nodes, dict):
        raise TypeError(type(nodes))
    paths = {name: Path(str(data[name])) for name in ("home", "bin_dir")}
    processes = {name: _process(data[name]) for name in ("owner", "builder")}
    states = {name: NodeState(port=node["port"], process=_process(node["process"])) for name, node in nodes.items()}
    known = {"directory": directory, "nodes": states, **paths, **processes}
    return ClusterState(**{**data, **known})  # type: ignore[arg-type]


def _process(data: object) -> Process | None:
    return Process(**data) if isinstance(data, dict) else None
