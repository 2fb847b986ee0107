"""What has a job, beside what a request has? A name, what it was given to see, and patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from django_gmf_router.routing.unit_of_work import UnitOfWork, open_unit

if TYPE_CHECKING:
    from django_gmf_router.replicas.pool import Wanted

STEP_SECONDS = 0.05


class UnitOfJob(UnitOfWork):
    """What a request is for its reads, for a job."""

    __slots__ = ("_patience_seconds", "given", "name")
    name: str
    """Who it is for SHARE."""
    given: str | None
    """The text of the token that it was given, also for what it sends."""

    def __init__(self, name: str, given: str | None, patience_seconds: float) -> None:
        """Open within the unit of work that is open here, if one is.

        patience_seconds: how long it looks for a replica that has what it was given.
        """
        super().__init__(outer=open_unit())
        self.name = name
        self.given = given
        self._patience_seconds = patience_seconds

    def patiently(self, wanted: Wanted | None, pick: Callable[[], tuple[str | None, str]]) -> tuple[str | None, str]:
        """Return what `pick` answers when a replica has what is wanted, or at the end of the patience."""
        # Where only the time of a write is known, its window is longer than anybody's patience.
        if wanted is None or wanted.mark.position is None:
            return pick()
        end = time.monotonic() + self._patience_seconds
        while (picked := pick())[1] == "consistency" and time.monotonic() < end:
            time.sleep(STEP_SECONDS)  # a replica tells nobody when it replays
        self._patience_seconds = max(0.0, end - time.monotonic())
        return picked
