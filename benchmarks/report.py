"""How are the figures told? A table for people, JSON for programs, and pyperf's own format for its tools."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import django

from benchmarks.figures import Figure, Values

try:
    import pyperf
except ImportError as error:
    raise SystemExit("pyperf is not installed: pip install pyperf.") from error

HEADINGS = ("what", "against", "took (us)", "measured", "single processes", "budget", "holds")


def table(figures: Sequence[Figure]) -> Iterator[str]:
    """Yield the lines of the table."""
    rows = [HEADINGS, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(figure: Figure) -> tuple[str, ...]:
    row = figure.row
    return (
        f"{row.group}: {row.subject}",
        row.reference,
        f"{figure.subject_seconds * 1e6:.3f} / {figure.reference_seconds * 1e6:.3f}" if row.reference else "",
        f"{figure.measured:.2f} {row.measure}",
        f"{figure.lowest:.2f} to {figure.highest:.2f}",
        "" if row.limit is None else f"at most {row.limit:g}",
        "" if row.limit is None else ("yes" if figure.holds else "NO"),
    )


def write(folder: Path, figures: Sequence[Figure], measured: Mapping[str, Sequence[Values]]) -> Path:
    """Write `benchmark.json`, the figures, and `pyperf.json`, every value; return the path of the first."""
    folder.mkdir(exist_ok=True)
    told = {
        "python": platform.python_version(),
        "django": django.get_version(),
        "figures": [{**asdict(figure), "holds": figure.holds} for figure in figures],
    }
    path = folder / "benchmark.json"
    path.write_text(json.dumps(told, indent=2), encoding="utf-8")
    # pyperf knows no empty suite, as where nothing serves the sites of the only group.
    if benchmarks := list(_benchmarks(measured)):
        pyperf.BenchmarkSuite(benchmarks).dump(str(folder / "pyperf.json"), replace=True)
    return path


def _benchmarks(measured: Mapping[str, Sequence[Values]]) -> Iterator[pyperf.Benchmark]:
    for group, processes in measured.items():
        for name in processes[0]:
            # Nor does it know a 0, as of requests that failed.
            if all(min(values[name]) > 0 for values in processes):
                yield pyperf.Benchmark([_run(f"{group}: {name}", values[name]) for values in processes])


def _run(name: str, values: Sequence[float]) -> pyperf.Run:
    return pyperf.Run(values, metadata={"name": name, "unit": "second"}, collect_metadata=False)
