"""What do Celery's tasks read, and what did who sent them write?"""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery, Task, current_task
from celery.signals import before_task_publish, task_postrun, task_prerun

from django_gmf_router.own_writes import UNKNOWN, token_to_send
from django_gmf_router.own_writes.jobs import Level, Work, level_named

LOGGER = logging.getLogger("django_gmf_router")
HEADER = "gmf_token"
_UNLOCKS_CHORDS = "celery.chord_unlock"
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


# Celery logs what a receiver raises and goes on: none of these may leave things half done.


def _send(headers: dict[str, Any], **_: Any) -> None:
    # Whatever its level, it carries what was written: it may send another one that has to see it.
    headers[HEADER] = UNKNOWN
    token = token_to_send(of_all=_gathers(current_task))
    if token is None:
        del headers[HEADER]
    else:
        headers[HEADER] = token


def _gathers(sender: Any) -> bool:
    """Return whether a task sends what runs after others, too: the part of a chord that ends last sends its body."""
    return bool(sender) and (sender.request.chord is not None or sender.name == _UNLOCKS_CHORDS)


def _begin(task: Task, **_: Any) -> None:
    default = _DEFAULTS.get(task.app)
    if default is None:
        return
    request = task.request
    # Run where it is called it has no message, and sees what its caller wrote. Of a message the headers are attributes.
    token = token_to_send() if request.is_eager else getattr(request, HEADER, None)
    # A soft time limit may end the opening half way.
    request.gmf_work = work = Work(token, task.name, level=_level(task, default))
    work.__enter__()


def _level(task: Task, default: Level) -> Level:
    try:
        return level_named(getattr(task, "gmf_consistency", default))
    except ValueError as error:
        LOGGER.error("%s reads from the primary: %s", task.name, error, extra={"event": "unknown_level"})  # noqa: TRY400
        return Level.STRONG


def _end(task: Task, **_: Any) -> None:
    work = task.request.__dict__.pop("gmf_work", None)
    if work is not None:
        work.__exit__(None, None, None)
