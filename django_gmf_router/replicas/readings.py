"""What did a node say of itself, or why does it say nothing, and what do operators say, as the nodes tell it?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django_gmf_router.postgres.dialects import CONTROL, IN_RECOVERY, MIGRATIONS, Dialect
from django_gmf_router.postgres.positions import at_rest
from django_gmf_router.postgres.sqlstates import cause_of
from django_gmf_router.settings.values import Role

REFUSED = ("connection refused", "no such file or directory", "the database system is ")
TIMED_OUT = ("timeout expired", "timed out")
# Of the types in a row of facts, by their OIDs in pg_type.dat: what makes a value of PostgreSQL's text.
VALUES: Mapping[int, Callable[[bytes], object]] = {16: b"t".__eq__, 20: int, 25: bytes.decode, 701: float}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one measurement said; what a node cannot tell is None."""

    up: bool
    role: Role | None = None
    """By pg_is_in_recovery()."""
    position: int | None = None
    """A replica's replay position, a primary's insert position."""
    flushed: int | None = None
    """A primary's."""
    timeline: int | None = None
    system_identifier: str | None = None
    database: str | None = None
    """As the server calls it: a pooler may offer it under another name."""
    started: float | None = None
    """When the server started, in wall-clock seconds."""
    replay_age: float | None = None
    """Seconds since the last transaction that a replica replayed, else since its start, by the servers' clocks."""
    lag: float | None = None
    """Seconds a replica is behind, where the server itself measures it."""
    control: str | None = None
    """What operators said last, as far as it has replayed that: a version and the state."""
    migrations: str | None = None
    """How many migrations its table of them holds, and the number of the last."""
    dialect: Dialect | None = None
    """None: it is no PostgreSQL."""
    error: str | None = None
    """One line without a password."""
    timed_out: bool = False
    refused: bool = False
    members: tuple[str, ...] | None = None
    """The nodes of an alias that is several servers, where its name was looked up."""


def failed(error: Exception, settings: dict[str, Any]) -> Reading:
    """Return the reading of a node that gave this error; `settings` is its entry of DATABASES."""
    text = cause_of(error, (settings.get("PASSWORD"), settings.get("OPTIONS", {}).get("password")))
    lower = text.lower()
    return Reading(
        up=False,
        error=text,
        timed_out=any(words in lower for words in TIMED_OUT),
        refused=any(words in lower for words in REFUSED),
    )


def reading_of(told: Mapping[str, Any], dialect: Dialect, identifier: str | None) -> Reading:
    """Return the reading of a node that told these facts."""
    in_recovery, inserted = told.get(IN_RECOVERY), told.get("pg_current_wal_insert_lsn")
    walfile, started = told.get("pg_walfile_name"), told.get("pg_postmaster_start_time")
    replayed_at = told.get("pg_last_xact_replay_timestamp", started) or started
    return Reading(
        up=True,
        role=None if in_recovery is None else Role.REPLICA if in_recovery else Role.PRIMARY,
        position=told.get("pg_last_wal_replay_lsn") if inserted is None else at_rest(inserted),
        flushed=told.get("pg_current_wal_flush_lsn"),
        timeline=int(walfile[:8], 16) if walfile else None,
        system_identifier=identifier,
        database=told.get("current_database"),
        started=started,
        replay_age=told["clock_timestamp"] - replayed_at if in_recovery and replayed_at else None,
        lag=told.get("aurora_replica_status"),
        control=told.get(CONTROL),
        migrations=told.get(MIGRATIONS),
        dialect=dialect,
    )


def value_of(result: Any, column: int) -> object:
    """Return a value of a row that libpq received."""
    text = result.get_value(0, column)
    return None if text is None else VALUES[result.ftype(column)](text)


# What operators say


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """The control state of a cluster for one site; without one nothing is steered."""

    version: int = 0
    share: float | None = None
    """The part of the clients that replicas serve; None: what SHARE says."""
    drained: frozenset[str] = frozenset()
    """The aliases that get no new reads, of all sites of the database: some may be none of this one's replicas."""
    maintenance: bool = False
    """Whether the requests of this site may only read."""
    maintenance_reason: str = ""
    """Why, as those are told who would save something."""

    def __str__(self) -> str:
        """Say it in one line."""
        said = [] if self.share is None else [f"replicas serve {self.share:g} of the clients"]
        if self.drained:
            said.append(f"drained: {', '.join(sorted(self.drained))}")
        if self.maintenance:
            said.append(f"maintenance: {self.maintenance_reason}" if self.maintenance_reason else "maintenance")
        return "; ".join(said) or "nothing"

    def says_the_same(self, other: Steering) -> bool:
        """Return whether `other` differs by its version at most."""
        return replace(self, version=other.version) == other


def newer(known: Steering, told: str | None, site: str) -> Steering:
    """Return the newer one of what is known and what a node told: a version, a space, the state of all sites as JSON.

    A replica that lags tells an old one. What this release cannot read steers nothing.
    """
    version, _, text = (told or "").partition(" ")
    if not version.isdigit() or int(version) <= known.version:
        return known
    try:
        state: Any = json.loads(text)
        share = state.get("share", {}).get(site)
        reason = state.get("maintenance", {}).get(site)
        return Steering(
            version=int(version),
            share=None if share is None else float(share),
            drained=frozenset(map(str, state.get("drained", ()))),
            maintenance=reason is not None,
            maintenance_reason=str(reason or ""),
        )
    except (ValueError, TypeError, AttributeError):
        return Steering(version=int(version))
