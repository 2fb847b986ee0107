"""What do processes hold, of memory, threads, files and connections, and does it grow?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from django_gmf_router.testing import LocalCluster

PROC = Path("/proc")
KILOBYTES = 1024
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'gmf' AND backend_type = 'client backend'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One thing that may grow, and by how much between the first and the last third of a run, absolute or relative."""

    name: str
    unit: str
    tolerance: float
    relative: float = 0.0


MEMORY = Kind(name="memory", unit="MB", tolerance=3.0, relative=0.05)
KINDS = (
    MEMORY,
    Kind(name="threads", unit="", tolerance=1),
    Kind(name="files", unit="", tolerance=3),
    Kind(name="connections", unit="", tolerance=3),
)


class Samples:
    """Samples of what was held, by kind and by whom."""

    def __init__(self) -> None:
        self._found: dict[tuple[Kind, str], list[float]] = {}

    def take(self, processes: Mapping[str, int], cluster: LocalCluster) -> None:
        """Look once: at processes, by their names, and at the nodes."""
        for name, pid in processes.items():
            for kind, value in zip(KINDS, of_process(pid), strict=False):
                self._found.setdefault((kind, name), []).append(value)
        for node in cluster.nodes:
            value = float(cluster.execute(node, CONNECTIONS)[0][0] or 0)
            self._found.setdefault((KINDS[-1], node), []).append(value)

    def lines(self) -> list[str]:
        """Return the figures, one line for each kind and owner."""
        return [_line(kind, owner, values) for (kind, owner), values in self._found.items()]

    def grown(self) -> list[str]:
        """Return the figures of what has grown."""
        found = self._found.items()
        return [_line(kind, owner, values) for (kind, owner), values in found if _has_grown(kind, values)]


def of_process(pid: int) -> tuple[float, int, int]:
    """Return megabytes of resident memory, threads and open files of a process: proc(5)."""
    lines = (PROC / str(pid) / "status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    files = len(list((PROC / str(pid) / "fd").iterdir()))
    return int(fields["VmRSS"].split()[0]) / KILOBYTES, int(fields["Threads"]), files


def thirds(values: Sequence[float]) -> tuple[float, float]:
    """Return the medians of the first and of the last third."""
    third = max(1, len(values) // 3)
    return median(values[:third]), median(values[-third:])


def _has_grown(kind: Kind, values: Sequence[float]) -> bool:
    first, last = thirds(values)
    return last - first > max(kind.tolerance, kind.relative * first)


def _line(kind: Kind, owner: str, values: Sequence[float]) -> str:
    first, last = thirds(values)
    whole = f"{len(values)} samples, {min(values):g} to {max(values):g}"
    return f"{kind.name} of {owner}: {first:.1f} -> {last:.1f} {kind.unit} ({whole})"
