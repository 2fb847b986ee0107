"""What do Celery's tasks read, and what did who sent them write?"""

from __future__ import annotations

from typing import Any

from celery import Celery, Task
from celery.signals import before_task_publish, task_postrun, task_prerun
from django.db import DatabaseError

from django_gmf_router.jobs import Level, Work, level_named
from django_gmf_router.own_writes import consistency_token

HEADER = "gmf_token"
UNKNOWN = "unknown"
"""In place of a token, where what was written cannot be told: only the primary is sure to have it."""
_DEFAULTS: dict[Celery, Level] = {}


def install(app: Celery, default: str = "strong") -> None:
    """Let each task of `app` read as it says by `gmf_consistency`, or else as `default` says.

    "strong": from the primary. "session": from a replica that has what its sender had written when it was sent, else
    from the primary. "delayed": the same, but looks for such a replica for a second. "eventual": from any replica. The
    sender's token travels in the headers of the message. Raise ValueError for an unknown level.
    """
    _DEFAULTS[app] = level_named(default)
    before_task_publish.connect(_send, weak=False, dispatch_uid="gmf_router")
    task_prerun.connect(_begin, weak=False, dispatch_uid="gmf_router")
    task_postrun.connect(_end, weak=False, dispatch_uid="gmf_router")


def _send(headers: dict[str, Any] | None = None, **kwargs: Any) -> None:  # noqa: ARG001
    if headers is None:
        return
    try:
        token = consistency_token()
    except DatabaseError:
        token = UNKNOWN
    # A retry has that of its first sender, and what it wrote itself since.
    if token is not None:
        headers[HEADER] = token


def _begin(task: Task, **kwargs: Any) -> None:  # noqa: ARG001
    default = _DEFAULTS.get(task.app)
    if default is None:
        return
    level = level_named(getattr(task, "gmf_consistency", default))
    work = Work(getattr(task.request, HEADER, None), task.name, level=level)
    work.__enter__()
    task.request.gmf_work = work


def _end(task: Task, **kwargs: Any) -> None:  # noqa: ARG001
    work = task.request.__dict__.pop("gmf_work", None)
    if work is not None:
        work.__exit__(None, None, None)
