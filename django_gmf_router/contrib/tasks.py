"""What do the tasks of Django's own `django.tasks` read? Django 6.0 on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError
from django.tasks import TaskResult
from django.tasks.signals import task_finished, task_started

from django_gmf_router.own_writes import UNKNOWN, token_of_now
from django_gmf_router.own_writes.jobs import Level, Work, level_named

Function = TypeVar("Function", bound=Callable[..., object])
_UID = "gmf_router"
_RUNNING: dict[str, Work] = {}


def install(default: str = "strong") -> None:
    """Let each task read as its function says by `gmf_consistency`, or else as `default` says; the last call counts.

    The levels are those of Celery's tasks. A task carries no token: a worker asks the primary, when a task begins, for
    what is committed, which holds what its sender wrote. Raise ValueError for an unknown level.
    """
    begin = partial(_begin, level_named(default))
    for signal, receiver in ((task_started, begin), (task_finished, _end)):
        signal.disconnect(dispatch_uid=_UID)
        signal.connect(receiver, weak=False, dispatch_uid=_UID)


def gmf_consistency(level: str) -> Callable[[Function], Function]:
    """Say of a function, below `@task`, what its task reads; raise ValueError for an unknown level."""
    known = level_named(level)

    def say(function: Function) -> Function:
        function.gmf_consistency = known  # type: ignore[attr-defined]
        return function

    return say


def _begin(default: Level, task_result: TaskResult[Any, Any], **kwargs: Any) -> None:  # noqa: ARG001
    task = task_result.task
    level = level_named(getattr(task.func, "gmf_consistency", default))
    token = _token() if level in {Level.SESSION, Level.DELAYED} else None
    work = Work(token, task.module_path, level=level)
    work.__enter__()
    # A task that sends another one to the immediate backend waits for it: they are nested.
    _RUNNING[task_result.id] = work


def _end(task_result: TaskResult[Any, Any], **kwargs: Any) -> None:  # noqa: ARG001
    # Also told of a task that could not begin.
    work = _RUNNING.pop(task_result.id, None)
    if work is not None:
        work.__exit__(None, None, None)


def _token() -> str | None:
    """Return a token of what the primary has committed by now.

    A task may have no need of a database: that the primary is away, or cannot be asked from an event loop, is told by
    what it reads.
    """
    try:
        return token_of_now()
    except (DatabaseError, SynchronousOnlyOperation):
        return UNKNOWN
