"""How is one server of a local cluster started, stopped, killed and frozen?"""

from __future__ import annotations

import signal
import time

from django_gmf_router.testing.errors import LocalClusterError, PortTakenError
from django_gmf_router.testing.ports import require_free
from django_gmf_router.testing.processes import Process, freeze, thaw
from django_gmf_router.testing.programs import SUPERUSER, Programs, Row
from django_gmf_router.testing.values import State

POLL_SECONDS = 0.01
GRACE_SECONDS = 10.0
LOG_LINES = 5
BIND_FAILURE = b"Address already in use"
STATUS_LINE = 7  # of postmaster.pid, counted from 0; LOCK_FILE_LINE_PM_STATUS in PostgreSQL's pidfile.h


class Node:
    """One server: its data directory, port and, while it runs, its process."""

    def __init__(self, *, name: str, port: int, programs: Programs, process: Process | None = None) -> None:
        self.name = name
        self.port = port
        self.programs = programs
        self.process = process
        self.data = programs.home / "nodes" / name
        self.log = programs.home / f"{name}.log"

    def state(self) -> State:
        letter = self.process.state() if self.process is not None else None
        if letter is None:
            return "stopped"
        return "frozen" if letter == "T" else "running"

    def launch(self) -> None:
        """Start the server's process without waiting for it; raises PortTakenError."""
        require_free(self.port)
        settings = (f"port={self.port}", f"cluster_name={self.name}")
        options = [option for setting in settings for option in ("-c", setting)]
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        _, self.process = self.programs.start_server("-D", str(self.data), *options, log=self.log)

    def wait_until_ready(self, timeout_seconds: float) -> None:
        """Wait until the server takes queries; raises LocalClusterError: its last words if it dies."""
        deadline = time.monotonic() + timeout_seconds
        while not self._is_ready():
            if self.process is None or not self.process.alive():
                raise self._death()
            if time.monotonic() > deadline:
                raise LocalClusterError(f"{self.name} took no queries within {timeout_seconds:g} s: see {self.log}")
            time.sleep(POLL_SECONDS)

    def stop(self, timeout_seconds: float = GRACE_SECONDS) -> None:
        """Shut the server down ("fast": open connections are cut); kill it if it takes longer."""
        if self.process is None:
            return
        thaw(self.process)
        self.process.send(signal.SIGINT)
        # A primary waits for replicas to have received everything, a frozen one never has.
        if not self.process.wait_until_gone(timeout_seconds):
            end([self.process])
        self.process = None

    def kill(self) -> None:
        """Stop the server at once (SIGQUIT: no checkpoint, no goodbye) and return when it is gone."""
        end([self.running()])
        self.process = None

    def freeze(self) -> None:
        """Stop the server and its children where they are: it accepts TCP connections but answers nothing."""
        freeze(self.running())

    def thaw(self) -> None:
        """Let a frozen server go on."""
        thaw(self.running())

    def running(self) -> Process:
        if self.process is None or not self.process.alive():
            raise LocalClusterError(f"{self.name} is stopped: restart it first")
        return self.process

    def query(self, sql: str, *, database: str = SUPERUSER, timeout_seconds: float = GRACE_SECONDS) -> list[Row]:
        """Run SQL as superuser; raises LocalClusterError."""
        options = {"database": database, "user": SUPERUSER}
        return self.programs.query(self.name, self.port, sql, timeout_seconds=timeout_seconds, **options)

    def _is_ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        pid = self.process.pid if self.process is not None else None
        return len(lines) > STATUS_LINE and lines[0] == str(pid) and lines[STATUS_LINE].strip() == "ready"

    def _death(self) -> LocalClusterError:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            output = log.read()
        if BIND_FAILURE in output:
            return PortTakenError(f"port {self.port} of {self.name} was taken by another server meanwhile")
        lines = self.programs.redact(output).strip().splitlines()[-LOG_LINES:]
        return LocalClusterError(f"{self.name} died while starting: {' / '.join(lines)}")


def end(servers: list[Process]) -> None:
    """Kill servers (SIGQUIT, frozen ones too) and return when they are gone."""
    for process in servers:
        # The tree is listed while the parent lives: afterwards nobody knows whose children they were.
        family = [*process.children(), process]
        process.send(signal.SIGQUIT)
        for each in family:
            each.send(signal.SIGCONT)
    for process in servers:
        # The postmaster itself gives its children 5 s before it kills them.
        if not process.wait_until_gone(GRACE_SECONDS):
            for each in (*process.children(), process):
                each.send(signal.SIGKILL)
            process.wait_until_gone(GRACE_SECONDS)
