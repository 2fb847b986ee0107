"""How many requests at once may read from the primary in place of the replicas?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Lock, get_ident
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from django_gmf_router.exceptions import PrimaryBusy
from django_gmf_router.routing.unit_of_work import ClusterRecord, UnitOfWork
from django_gmf_router.settings.values import ClusterConfig


class Spill:
    """The requests of this process that read from one primary since no replica serves."""

    def __init__(self, config: ClusterConfig) -> None:
        """Begin with none."""
        self._primary = config.primary
        self._limit = config.spill
        self._lock = Lock()
        self._held = 0

    def take(self, unit: UnitOfWork, record: ClusterRecord, wrapper: BaseDatabaseWrapper) -> None:
        """Let `unit` read from the primary by the connection `wrapper`, until it ends.

        Raise PrimaryBusy where SPILL others do. What is no request has no limit: nobody sees when it ends.
        """
        if self._limit is None or unit.method is None:
            return
        if not record.spills:
            with self._lock:
                if self._held >= self._limit:
                    raise PrimaryBusy(self._primary, self._limit)
                self._held += 1
            record.spills = True
            _at_end(unit, self._give_back)
        if wrapper.connection is None:
            # Before the place is free: who has it next opens a session, too.
            _at_end(unit, partial(_end_session, wrapper, get_ident()))

    def _give_back(self) -> None:
        with self._lock:
            self._held -= 1


def _at_end(unit: UnitOfWork, action: Callable[[], None]) -> None:
    unit.at_end.append(action)
    # A task that outlives its request may come here just as that ends.
    if unit.closed:
        with suppress(ValueError):
            unit.at_end.remove(action)
            action()


def _end_session(wrapper: Any, thread: int) -> None:
    if thread != get_ident():
        # Its own thread closes it, when Django ends the request there.
        wrapper.generation = None
    elif not wrapper.in_atomic_block:
        wrapper.close()
