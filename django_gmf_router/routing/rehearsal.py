"""What would move to replicas? What a DRY_RUN counts, process by process, and which settings follow from it."""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import sys
import time
from collections import Counter, OrderedDict
from dataclasses import asdict, dataclass, field
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


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one view read."""

    view: str
    requests: int
    reads: int
    replica: int
    """How many of its reads could move."""
    primary: dict[str, int]
    """Why the others stay, and how many for each reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """What a site should look at before it turns routing on."""

    view: str
    what: str
    """What is written, or the line of code."""
    count: int
    pattern: str = ""
    """The `master` pattern that sends the view to the primary; empty where it would send others there too."""


@dataclass(slots=True, kw_only=True)
class Rehearsed:
    """The counts of all processes."""

    counts: Counts = field(default_factory=Counter)
    processes: int = 0
    since: float = 0.0
    until: float = 0.0

    def _sum(self, kind: str) -> dict[str, list[tuple[tuple[str, ...], int]]]:
        """Return by view what was counted of one kind."""
        found: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        for (each, view, *rest), count in sorted(self.counts.items()):
            if each == kind:
                found.setdefault(view, []).append((tuple(rest), count))
        return found

    @property
    def views(self) -> list[View]:
        """What each view read, those with the most reads first."""
        requests, found = self._sum(REQUESTS), []
        for view, reads in self._sum(READ).items():
            stay = Counter({reason: count for (role, reason), count in reads if role == Role.PRIMARY})
            total = sum(count for _, count in reads)
            asked = sum(count for _, count in requests.get(view, []))
            primary = dict(stay.most_common())
            found.append(View(view=view, requests=asked, reads=total, replica=total - stay.total(), primary=primary))
        return sorted(found, key=lambda each: -each.reads)

    @property
    def share(self) -> float:
        """The part of all reads that could move, 0 to 1."""
        views = self.views
        return sum(view.replica for view in views) / max(1, sum(view.reads for view in views))

    @property
    def writes(self) -> list[Hazard]:
        """What requests wrote that the rules send to replicas."""
        return self._hazards(WROTE)

    @property
    def by_hand(self) -> list[Hazard]:
        """The statements on a connection, which no router sees."""
        return self._hazards(BY_HAND)

    @property
    def stale(self) -> dict[str, int]:
        """By lag in seconds: how many reads would have missed what their own client had written."""
        found = Counter({str(lag): 0 for lag in LAGS_SECONDS})
        for lags in self._sum(STALE).values():
            found.update({lag: count for (lag,), count in lags})
        return dict(found)

    def _hazards(self, kind: str) -> list[Hazard]:
        found = [
            Hazard(view=view, what=what, count=count, pattern="".join(pattern))
            for view, each in self._sum(kind).items()
            for (what, *pattern), count in each
        ]
        return sorted(found, key=lambda hazard: -hazard.count)

    def settings(self, config: ClusterConfig) -> dict[str, object]:
        """Return what to put into GMF_ROUTER for this cluster: it sends what writes in reading requests away."""
        patterns = [hazard.pattern for hazard in self.writes if hazard.pattern]
        master = [*dict.fromkeys([*config.master, *patterns])]
        chooser = {key: value for key, value in (("master", master), ("slave", [*config.slave])) if value}
        aliases = [*config.replica_aliases] or ["replica_1"]
        return {"REPLICAS": aliases, **({"DB_CHOOSER": chooser} if chooser else {})}

    def as_dict(self, config: ClusterConfig) -> dict[str, object]:
        """Return all of it as JSON has it."""
        return {
            "cluster": config.primary,
            "processes": self.processes,
            "since": self.since,
            "until": self.until,
            "share": self.share,
            "views": [asdict(view) for view in self.views],
            "writes": [asdict(hazard) for hazard in self.writes],
            "by_hand": [asdict(hazard) for hazard in self.by_hand],
            "stale": self.stale,
            "settings": self.settings(config),
        }


def rehearsed(cluster: str) -> Rehearsed:
    """Return what was counted for a cluster, by all processes that left something.

    Raise ValueError where a file holds something else, OSError where one cannot be read.
    """
    found = Rehearsed()
    for file in sorted(folder().glob("*.json")):
        _add(found, file, cluster)
    return found


def _add(found: Rehearsed, file: Path, cluster: str) -> None:
    try:
        kept = json.loads(file.read_text())
        if kept["cluster"] == cluster:
            found.counts.update({tuple(key): count for *key, count in kept["counts"]})
            found.since = min(found.since or kept["since"], kept["since"])
            found.until = max(found.until, kept["until"])
            found.processes += 1
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{file} holds no counts: remove it, or all of them by gmf_rehearse --forget.") from None


def forget() -> None:
    """Remove what was counted; processes that run on write theirs again, from their own start."""
    for file in folder().glob("*.json"):
        file.unlink(missing_ok=True)
