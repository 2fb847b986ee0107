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
    """Return what `pick` answers when a replica has what is wanted, or at the end of the patience of `unit`."""
    # Where only the time of a write is known, its window is longer than anybody's patience.
    if wanted is None or wanted.mark.position is None:
        return pick()
    end = time.monotonic() + unit.patience_seconds
    while (picked := pick())[1] == "consistency" and time.monotonic() < end:
        time.sleep(STEP_SECONDS)  # a replica tells nobody when it replays
    unit.patience_seconds = max(0.0, end - time.monotonic())
    return picked
