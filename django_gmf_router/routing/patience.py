"""How long does a job look for a replica that has what it must see, before the primary serves?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_gmf_router.replicas.pool import Wanted
    from django_gmf_router.routing.unit_of_work import UnitOfWork

STEP_SECONDS = 0.05


def patiently(
    unit: UnitOfWork, wanted: Wanted | None, pick: Callable[[], tuple[str | None, str]]
) -> tuple[str | None, str]:
    """Return what `pick` answers; ask it again while no replica has what is wanted and `unit` has patience."""
    picked = pick()
    # Where only the time of a write is known, its window is longer than anybody's patience.
    if not unit.patience_seconds or wanted is None or wanted.mark.position is None:
        return picked
    end = time.monotonic() + unit.patience_seconds
    while picked[1] == "consistency" and time.monotonic() < end:
        time.sleep(STEP_SECONDS)  # a replica tells nobody when it replays
        picked = pick()
    unit.patience_seconds = max(0.0, end - time.monotonic())
    return picked
