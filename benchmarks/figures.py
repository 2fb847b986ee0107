"""What do the measured seconds say of each row? Ratios and differences within a process, then the middle of all."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.budgets import A_SECOND, OF_A_CORE, OVER, RATIO, Row

UNITS = {OVER: 1e6, OF_A_CORE: 1e2, A_SECOND: 1.0}

Values = Mapping[str, Sequence[float]]
"""Seconds per call of each contestant, one for each round of one process; or how many failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A row of the table as it was measured; `lowest` and `highest` are those of single processes."""

    row: Row
    measured: float
    lowest: float
    highest: float
    subject_seconds: float
    reference_seconds: float

    @property
    def holds(self) -> bool:
        """Whether the budget holds; what has none holds."""
        return self.row.limit is None or self.measured <= self.row.limit


def figure(row: Row, processes: Sequence[Values]) -> Figure | None:
    """Return what `processes` measured for `row`; None where the subject was not measured, as a missing peer.

    Minima: noise only adds. The median over processes, since memory layout favours one contestant or the other.
    """
    if not processes or row.subject not in processes[0]:
        return None
    pairs = [(min(values[row.subject]), min(values[row.reference or row.subject])) for values in processes]
    found = [_measure(row, *pair) for pair in pairs]
    return Figure(
        row=row,
        measured=statistics.median(found),
        lowest=min(found),
        highest=max(found),
        subject_seconds=min(subject for subject, _ in pairs),
        reference_seconds=min(reference for _, reference in pairs),
    )


def _measure(row: Row, subject: float, reference: float) -> float:
    if row.measure == RATIO:
        return subject / reference
    return (subject - reference) * UNITS[row.measure] if row.measure in UNITS else subject
