"""What would move to replicas? What a DRY_RUN counts, process by process, for `gmf_rehearse`."""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import sys
import time
from collections import Counter, OrderedDict
from functools import partial
from pathlib import Path
from threading import Lock
from types import FrameType
from typing import TypeAlias

from django.conf import settings
from django.http import HttpRequest

from django_gmf_router.routing import advice
from django_gmf_router.routing.db_chooser import key_of
from django_gmf_router.routing.policy import Policy
from django_gmf_router.routing.unit_of_work import ClusterRecord, UnitOfWork, open_unit
from django_gmf_router.routing.writes import Statement, WriteWatch, classify
from django_gmf_router.settings.values import ClusterConfig, Role

logger = logging.getLogger("django_gmf_router")

REQUESTS, READ, WROTE, BY_HAND, STALE = "requests", "read", "wrote", "by hand", "stale"
"""What is counted, and what stands after it in a key: the view; and for READ role and reason, for WROTE what and the
pattern that sends the view to the primary, for BY_HAND the place in the code, for STALE the lag."""
LAGS_SECONDS = (0.1, 1.0, 5.0, 30.0)
NEVER = float("inf")
CLIENTS_KEPT = 10_000
"""Clients whose last writes are remembered."""
_SOURCE = re.compile(r"""\b(?:FROM|JOIN)\s+(?:["`\w]+\.)?["`]?(\w+)""", re.IGNORECASE)
_OWN = str(Path(__file__).parents[1])
_TOKENS = str(Path(_OWN, "own_writes", "__init__.py"))
Counts: TypeAlias = "Counter[tuple[str, ...]]"


def folder() -> Path:
    """Return where the processes of this site leave what they counted."""
    return Path(getattr(settings, "BASE_DIR", "")) / ".gmf_rehearsal"


class Rehearsal(WriteWatch):
    """Watches statements of a DRY_RUN, and counts where they would have gone."""

    def __init__(self, config: ClusterConfig, policy: Policy) -> None:
        """Take the cluster's settings and its rules."""
        super().__init__(config, policy)
        self._open: dict[UnitOfWork, Counts] = {}
        self._written: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._lock = Lock()
        self._begin()
        atexit.register(self.keep)

    def _begin(self) -> None:
        self._counts: Counts = Counter()
        self._process, self._since, self._kept_at = os.getpid(), time.time(), 0.0

    def note(self, sql: object) -> tuple[Statement, ClusterRecord | None]:
        """Count a statement that is about to run on the primary, beside what is noted of it ever."""
        if (unit := open_unit()) is not None:
            self._count(unit, classify(sql), str(sql))
        return super().note(sql)

    def _warn(self, unit: UnitOfWork, statement: Statement) -> None:
        pattern = advice.pattern_for(unit)
        wide = advice.catches_others(pattern, unit)
        self._counts_of(unit)[WROTE, self._what(statement), "" if wide else pattern] += 1
        super()._warn(unit, statement)

    def _counts_of(self, unit: UnitOfWork) -> Counts:
        if unit not in self._open:
            self._open[unit] = Counter()
            # The view is known when the request has ended, which forgets it.
            unit.at_end.append(partial(self._end, unit, unit.request))
        return self._open[unit]

    def _count(self, unit: UnitOfWork, statement: Statement, sql: str) -> None:
        if statement.writes:
            self._remember(unit, statement)
        elif statement.reads:
            decision = unit.decision
            if decision is not None and (unit.was_asked or not statement.by_hand):
                unit.was_asked = False
                self._counts_of(unit)[READ, decision.role.value, decision.reason] += 1
                if decision.role == Role.REPLICA:
                    self._look_back(unit, sql)
            elif (place := _place()) is not None:
                self._counts_of(unit)[READ, Role.PRIMARY.value, BY_HAND] += 1
                self._counts_of(unit)[BY_HAND, place] += 1

    def _remember(self, unit: UnitOfWork, statement: Statement) -> None:
        if unit.request is not None:
            with self._lock:
                tables = self._written.setdefault(key_of(unit.request), {})
                tables.update(dict.fromkeys(statement.tables, time.monotonic()))
                # Those who wrote longest ago are forgotten first.
                self._written.move_to_end(key_of(unit.request))
                if len(self._written) > CLIENTS_KEPT:
                    self._written.popitem(last=False)

    def _look_back(self, unit: UnitOfWork, sql: str) -> None:
        """Count a read of what its client wrote a moment ago, by the lag that would have made it wrong."""
        written = self._written.get(key_of(unit.request)) if unit.request is not None else None
        times = [written[table] for table in _SOURCE.findall(sql) if table in written] if written else []
        if times:
            age = time.monotonic() - max(times)
            for lag in LAGS_SECONDS:
                self._counts_of(unit)[STALE, str(lag)] += age < lag

    def _end(self, unit: UnitOfWork, request: HttpRequest | None) -> None:
        match = getattr(request, "resolver_match", None)
        view = f"{unit.method} {match.route if match else unit.path}" if unit.method else f"job {unit.name}"
        with self._lock:
            if self._process != os.getpid():
                # What was counted before a fork is the parent's.
                self._begin()
            self._counts[REQUESTS, view] += 1
            for (kind, *rest), times in self._open.pop(unit, {}).items():
                self._counts[(kind, view, *rest)] += times
        if time.monotonic() - self._kept_at > 1:
            self.keep()

    def keep(self) -> None:
        """Write what was counted; a folder that cannot be written is told once."""
        with self._lock:
            if not self._counts or self._process != os.getpid() or self._kept_at == NEVER:
                return
            self._kept_at = time.monotonic()
            counts = [[*key, count] for key, count in self._counts.items()]
            kept = {"cluster": self.primary, "since": self._since, "until": time.time(), "counts": counts}
            target = folder() / f"{self.primary}-{self._process}-{self._since:.0f}.json"
            try:
                target.parent.mkdir(mode=0o700, exist_ok=True)
                # In one step: `gmf_rehearse` may read at any moment.
                target.with_suffix(".new").write_text(json.dumps(kept))
                target.with_suffix(".new").replace(target)
            except OSError as error:
                self._kept_at = NEVER
                logger.warning("DRY_RUN keeps no counts: %s", error, extra={"event": "rehearsal"})


def _place() -> str | None:
    """Return which line of the site executes a statement; None where this package does."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if frame.f_globals.get("__name__", "").partition(".")[0] != "django" and not file.startswith(f"{_OWN}{os.sep}"):
            return f"{os.path.relpath(file, getattr(settings, 'BASE_DIR', ''))}:{frame.f_lineno}"
        if file == _TOKENS:
            return None
        frame = frame.f_back
    return None
