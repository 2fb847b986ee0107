"""How is one run of the checker made? Two web servers, several processes of clients, and replicas that lag."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import ROOT, Site, environment, served
from tests.consistency.clients import Plan
from tests.consistency.history import History
from tests.consistency.operations import Operation, read_lines
from tests.consistency.urls import DIGITS

SERVERS = ("gunicorn", "uvicorn")
PROCESSES = 2
CLIENTS = 12
SHARED_EVERY = 4  # one client in four uses one jar from several connections
LONGEST_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What happened, which ports the replicas have, and how long it took."""

    history: History
    replicas: frozenset[int]
    seconds: float

    def report(self, title: str) -> str:
        """Return the figures in a few lines."""
        history = self.history
        first, stale, replica = history.first_reads(self.replicas), history.stale_reads_of_others(), self.reads
        reasons = ", ".join(f"{count} {reason}" for reason, count in history.reasons().most_common())
        return "\n".join(
            [
                f"{title}: {len(history.operations)} operations in {self.seconds:.0f} s, "
                f"{len(history.failures())} failed; reads: {reasons}",
                f"  promised: {len(history.violations())} violations, {len(history.inventions())} inventions",
                f"  best effort: {_share(*first)} of the first reads after a write and {_share(*replica)} of all reads "
                f"from a replica; {_share(*stale)} of the reads of others' registers were stale; "
                f"{len(history.overtaken())} stale reads since an older answer came later to a shared jar",
            ]
        )

    @property
    def reads(self) -> tuple[int, int]:
        """How many reads a replica served, and how many there were."""
        return self.history.reads_by(self.replicas)


@contextmanager
def sites(
    cluster: LocalCluster,
    router: Mapping[str, Any] | None = None,
    *,
    servers: Sequence[str] = SERVERS,
    pin_seconds: float = 0,
) -> Iterator[list[Site]]:
    """Serve the registers by each of `servers`."""
    with ExitStack() as stack:
        shared = {
            "DJANGO_SETTINGS_MODULE": "tests.consistency.settings",
            "GMF_PIN_SECONDS": str(pin_seconds),
            "GMF_TEST_CACHE": stack.enter_context(tempfile.TemporaryDirectory()),
        }
        yield [
            stack.enter_context(served(server, {**_environment(cluster, server, router or {}), **shared}))
            for server in servers
        ]


def _environment(cluster: LocalCluster, server: str, router: Mapping[str, Any]) -> dict[str, str]:
    # Django's manual: no persistent connections under ASGI, where each request has a thread of its own.
    return environment(cluster, router=dict(router), CONN_MAX_AGE=0 if server == "uvicorn" else 60)


def run(
    cluster: LocalCluster, running: Sequence[Site], *, operations: int, seed: int, shares_jars: bool = True, **plan: Any
) -> Run:
    """Let the clients work, in several processes, and answer what they did."""
    registers = list(range(1, CLIENTS + 1))
    _make_registers(cluster, registers)
    plans = [
        Plan(
            sites=[(site.host, site.port) for site in running],
            clients=registers[CLIENTS * number // PROCESSES : CLIENTS * (number + 1) // PROCESSES],
            shared=registers[::SHARED_EVERY] if shares_jars else [],
            registers=registers,
            operations=operations // PROCESSES,
            seed=seed,
            **plan,
        )
        for number in range(PROCESSES)
    ]
    started = time.monotonic()
    done = _run_processes(plans)
    replicas = frozenset(cluster.port(node) for node in cluster.nodes[1:])
    return Run(history=History(done), replicas=replicas, seconds=time.monotonic() - started)


def _make_registers(cluster: LocalCluster, registers: list[int]) -> None:
    rows = ", ".join(f"({number}, '{0:0{DIGITS}}')" for number in registers)
    cluster.execute("primary", f"TRUNCATE library_tile; INSERT INTO library_tile (id, name) VALUES {rows}")
    cluster.wait_for_replay()


def _run_processes(plans: list[Plan]) -> list[Operation]:
    command = [sys.executable, "-m", "tests.consistency.clients"]
    with ExitStack() as stack:
        processes = []
        for plan in plans:
            options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
            process = stack.enter_context(subprocess.Popen(command, **options))
            stack.callback(process.kill)
            processes.append(process)
            process.stdin.write(plan.text())
            process.stdin.close()
        found = [operation for process in processes for operation in read_lines(process.stdout)]
        assert [process.wait(LONGEST_SECONDS) for process in processes] == [0] * len(plans)
    return found


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})" if whole else "none"
