"""Who is measured, and how long do its calls take? The values that a group yields."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

UNROLLED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One thing that is measured: `run(loops)` answers seconds for `loops` times `calls` calls."""

    name: str
    run: Callable[[int], float]
    calls: int = 1


def calling(name: str, statement: str, **names: Any) -> Contestant:
    """Measure a short statement, written out several times, so that the loop around it hardly counts."""
    timer = timeit.Timer("\n".join([statement] * UNROLLED), globals=names)
    return Contestant(name=name, run=timer.timeit, calls=UNROLLED)
