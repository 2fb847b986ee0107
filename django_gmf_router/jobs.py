"""What stands for a request in jobs, commands and consumers?"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from django_gmf_router import clusters
from django_gmf_router.own_writes import hand_on, read_after, token_of_now, tokens_by_store
from django_gmf_router.routing.blocks import use_primary
from django_gmf_router.routing.unit_of_work import NOWHERE, Place, UnitOfWork, current_place, open_unit

NOW = "now"
PATIENCE_SECONDS, STEP_SECONDS = 1.0, 0.05
"""How long a delayed job looks for a replica that has what its sender wrote, and how often."""
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


class Work:
    """A context manager and decorator: each entering, each call is a unit of work of its own."""

    def __init__(self, token: str | None, name: str | None, level: Level = Level.SESSION) -> None:
        """Take what its reads must see, who it is for SHARE, and how much that matters."""
        self._level = level
        self._token = token if level in {Level.SESSION, Level.DELAYED} else None
        self._name = name
        # By unit of work where its context stood before.
        self._before: dict[UnitOfWork, Place] = {}

    def __enter__(self) -> None:
        token = token_of_now() if self._token == NOW else self._token
        unit, here = UnitOfWork(outer=open_unit(), name=self._name or ""), current_place.get()
        self._before[unit] = here
        # What blocks around it say is said of the work around it.
        current_place.set(unit)
        if token is not None:
            current_place.set(read_after(token).opened())
            unit.tokens = tokens_by_store(token)
        if self._level == Level.STRONG:
            current_place.set(use_primary().opened())
        if self._level == Level.DELAYED:
            _wait_for_replicas()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unit = current_place.get().unit
        if unit is None or unit not in self._before:
            return  # A generator that is closed in another context than that in which it began.
        current_place.set(self._before.pop(unit, NOWHERE))
        try:
            hand_on(unit)
        finally:
            unit.close()

    def __call__(self, job: Job) -> Job:
        """Decorate a function or coroutine function."""
        work = Work(self._token, self._name or f"{job.__module__}.{job.__qualname__}")

        def inner(*args: Any, **kwargs: Any) -> Any:
            with work:
                return job(*args, **kwargs)

        async def inner_async(*args: Any, **kwargs: Any) -> Any:
            with work:
                return await job(*args, **kwargs)

        made: Any = markcoroutinefunction(inner_async) if iscoroutinefunction(job) else inner
        return wraps(job)(made)  # type: ignore[return-value]


def _wait_for_replicas() -> None:
    """Wait until in each cluster a replica has what this unit of work wants to see; at most PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for cluster in clusters.registry().clusters:
        wanted = cluster.policy.wanted()
        while wanted and cluster.pool.pick(wanted)[1] == "consistency" and time.monotonic() < deadline:
            time.sleep(STEP_SECONDS)


def unit_of_work(read_after: str | None = None, name: str | None = None) -> Work:
    """Let what is inside this block or function read from one replica, as a request does that only reads.

    `read_after`: a token, of which its reads must see what it says; "now": all that the primary has committed when it
    begins, for one tiny query there. `name`: who it is for SHARE; a decorated function has its own. It leaves nothing
    behind: not its replica, nor that it wrote, but to the unit of work that it is in.
    """
    return Work(read_after, name)
