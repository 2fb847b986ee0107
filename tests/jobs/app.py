"""Which Celery application do the tests of jobs run? Workers, beat and senders load it by its name."""

from __future__ import annotations

import json
import os
from typing import Any

from celery import Celery
from celery.signals import task_postrun, task_prerun

from django_gmf_router.contrib.celery import install
from django_gmf_router.routing.unit_of_work import NOWHERE, current_place
from tests.jobs.processes import VISIBLE_AFTER_SECONDS

BROKER = os.environ["GMF_TEST_BROKER"]
LEFT: list[str] = []
"""What jobs of this process left behind, or found: nothing, but for a bug."""


def look(task: Any, when: str) -> None:
    here = current_place.get()
    if here is not NOWHERE:
        LEFT.append(f"{when} {task.name}: {here}")


def look_before(task: Any, **_: Any) -> None:
    look(task, "before")


def look_after(task: Any, **_: Any) -> None:
    look(task, "after")


app = Celery("jobs", broker=BROKER, backend=BROKER, include=["tests.jobs.tasks"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": VISIBLE_AFTER_SECONDS},
    result_expires=600,
    task_reject_on_worker_lost=True,
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    **json.loads(os.environ.get("GMF_TEST_CELERY", "{}")),
)
# Around the router's own receivers: the first to look before a job, and the last after it.
task_prerun.connect(look_before)
install(app, default="session")
task_postrun.connect(look_after)
