"""What do the tasks of Django's own `django.tasks` read? Django 6.0 on."""

from __future__ import annotations

from typing import Any

from django.tasks import TaskResult
from django.tasks.signals import task_finished, task_started

from django_gmf_router.jobs import NOW, Level, Work, level_named

_OPEN: dict[str, Work] = {}


def install(default: str = "strong") -> None:
    """Let each task read as its function's attribute `gmf_consistency` says, or else `default`.

    A task carries no token: a worker asks the primary, when a task begins, for what is committed, which holds what its
    sender wrote. Raise ValueError for an unknown level.
    """
    level = level_named(default)

    def begin(sender: Any, task_result: TaskResult[Any, Any], **kwargs: Any) -> None:  # noqa: ARG001
        task = task_result.task
        wanted = level_named(getattr(task.func, "gmf_consistency", level))
        token = NOW if wanted in {Level.SESSION, Level.DELAYED} else None
        work = _OPEN[task_result.id] = Work(token, task.module_path, level=wanted)
        work.__enter__()

    def end(sender: Any, task_result: TaskResult[Any, Any], **kwargs: Any) -> None:  # noqa: ARG001
        work = _OPEN.pop(task_result.id, None)
        if work is not None:
            work.__exit__(None, None, None)

    task_started.connect(begin, weak=False, dispatch_uid="gmf_router")
    task_finished.connect(end, weak=False, dispatch_uid="gmf_router")
