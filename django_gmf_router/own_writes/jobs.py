"""What stands for a request in jobs, commands and consumers?"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async

from django_gmf_router.own_writes import give, hand_on, read_after, token_of_now
from django_gmf_router.routing.blocks import use_primary
from django_gmf_router.routing.unit_of_work import NOWHERE, Place, UnitOfWork, current_place, open_unit

if TYPE_CHECKING:
    from django_gmf_router.replicas.pool import Wanted
    from django_gmf_router.routing.unit_of_work import Pick

NOW = "now"
PATIENCE_SECONDS = 1.0
"""How long a delayed job looks for a replica that has what its sender wrote."""
STEP_SECONDS = 0.05
Job = TypeVar("Job", bound=Callable[..., Any])


class Level(str, Enum):
    """What a job reads."""

    STRONG = "strong"
    SESSION = "session"
    DELAYED = "delayed"
    EVENTUAL = "eventual"


def level_named(name: str) -> Level:
    """Return a level; raise ValueError for a name of none."""
    try:
        return Level(name)
    except ValueError:
        levels = ", ".join(repr(level.value) for level in Level)
        raise ValueError(f"gmf_consistency={name!r}: choose one of {levels}.") from None


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

    def pick(self, wanted: Wanted | None, pick: Pick) -> tuple[str | None, str]:
        """Return what `pick` answers when a replica has what is wanted, or at the end of the patience."""
        # Where only the time of a write is known, its window is longer than anybody's patience.
        if wanted is None or wanted.mark.position is None:
            return pick()
        end = time.monotonic() + self._patience_seconds
        while (picked := pick())[1] == "consistency" and time.monotonic() < end:
            time.sleep(STEP_SECONDS)  # a replica tells nobody when it replays
        self._patience_seconds = max(0.0, end - time.monotonic())
        return picked


class Work:
    """A context manager and decorator: each entering, each call is a unit of work of its own."""

    def __init__(self, token: str | None, name: str | None, level: Level = Level.SESSION) -> None:
        """Take what its reads must see, who it is for SHARE, and how much that matters."""
        self._level = level
        self._token = token
        self._name = name
        # By unit of work where its context stood before.
        self._before: dict[UnitOfWork, Place] = {}

    def __enter__(self) -> None:
        self._open(token_of_now() if self._token == NOW else self._token)

    async def __aenter__(self) -> None:
        # The primary is asked in a thread: not in that of the event loop.
        self._open(await sync_to_async(token_of_now)() if self._token == NOW else self._token)

    def _open(self, token: str | None) -> None:
        unit = UnitOfJob(self._name or "", token, PATIENCE_SECONDS if self._level == Level.DELAYED else 0.0)
        counts = token is None or self._level == Level.EVENTUAL or give(unit, token)
        self._before[unit] = current_place.get()
        # What blocks around it say is said of the work around it.
        current_place.set(unit)
        if self._level == Level.STRONG:
            current_place.set(use_primary().opened())
        elif not counts:
            current_place.set(read_after(token).opened())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unit = current_place.get().unit
        # One inside it that nobody ended ends with it.
        while unit is not None and unit not in self._before:
            unit = unit.outer
        if unit is None:
            return  # A generator that is closed in another context than that in which it began.
        current_place.set(self._before.pop(unit, NOWHERE))
        try:
            hand_on(unit)
        finally:
            unit.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, job: Job) -> Job:
        """Decorate a function or coroutine function."""
        work = Work(self._token, self._name or f"{job.__module__}.{job.__qualname__}", self._level)

        def inner(*args: Any, **kwargs: Any) -> Any:
            with work:
                return job(*args, **kwargs)

        async def inner_async(*args: Any, **kwargs: Any) -> Any:
            async with work:
                return await job(*args, **kwargs)

        made: Any = markcoroutinefunction(inner_async) if iscoroutinefunction(job) else inner
        return wraps(job)(made)  # type: ignore[return-value]


def unit_of_work(read_after: str | None = None, name: str | None = None) -> Work:
    """Let what is inside this block or function read from one replica, as a request does that only reads.

    `read_after`: a token, of which its reads must see what it says; "now": all that the primary has committed when it
    begins, for one tiny query there. `name`: who it is for SHARE; a decorated function has its own. It leaves nothing
    behind: not its replica, nor that it wrote, but to the unit of work that it is in.
    """
    return Work(read_after, name)
