"""What did the processes of this site count in a DRY_RUN, and which settings follow from it?"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from django_gmf_router.routing.rehearsal import BY_HAND, LAGS_SECONDS, READ, REQUESTS, STALE, WROTE, Counts, folder
from django_gmf_router.settings.values import ClusterConfig, Role


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
            stay: Counter[str] = Counter()
            for (role, reason), count in reads:
                if role == Role.PRIMARY:
                    stay[reason] += count
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
