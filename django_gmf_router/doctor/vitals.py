"""What does a server tell of itself that the health monitor does not ask time after time?"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from django_gmf_router.postgres.dialects import CONTROL, MIGRATIONS
from django_gmf_router.replicas.probes import Probe
from django_gmf_router.replicas.readings import Reading, failed

# The manual's sections on the functions and views of these names; a replica that restores an archive may have no
# receiver. Who may not see more of pg_stat_wal_receiver sees a row all the same.
FACTS = {
    "version": "current_setting('server_version_num')::int",
    "user": "current_user::text",
    "schemas": "array_to_string(current_schemas(false), ', ')",
    "receivers": "(SELECT count(*) FROM pg_stat_wal_receiver)",
    "restores": "current_setting('restore_command') <> ''",
    "is_paused": "CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END",
    "has_control": f"to_regclass('{CONTROL}') IS NOT NULL",
    "has_migrations": f"to_regclass('{MIGRATIONS}') IS NOT NULL",
    "clock": "extract(epoch FROM clock_timestamp())::float8",
}
UNREADABLE = {
    "unreadable": (
        "(SELECT array_agg(relname::text ORDER BY relname) FROM pg_class WHERE relname::text = ANY(%s)"
        " AND relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_table_is_visible(oid)"
        " AND NOT has_table_privilege(oid, 'SELECT'))"
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What a PostgreSQL server told; None: it refused, or was not asked."""

    version: int | None = None
    """As `server_version_num`: 150008 is 15.8."""
    user: str | None = None
    schemas: str | None = None
    """Those in which a session looks for a table, that are there and that it may use."""
    receivers: int | None = None
    """Of a replica 1 while it is connected to what it follows."""
    restores: bool | None = None
    """Whether it may replay an archive instead."""
    is_paused: bool | None = None
    has_control: bool | None = None
    has_migrations: bool | None = None
    ahead: float | None = None
    """Seconds that its clock is ahead of this machine's at least; below 0: behind; 0: no difference was seen."""
    unreadable: tuple[str, ...] = ()
    """The tables of the site's models that the user may not read."""

    @property
    def major(self) -> int:
        """The first number of the version."""
        return (self.version or 0) // 10000

    @property
    def release(self) -> str:
        """The version as people write it."""
        return f"{self.major}.{(self.version or 0) % 10000}"


class Examiner(Probe):
    """A probe that asks more when the server answers for the first time."""

    def __init__(
        self,
        alias: str,
        timeout_seconds: float = 2.0,
        address: Mapping[str, str] | None = None,
        *,
        tables: Collection[str] = (),
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Take what a probe takes, the tables that should be readable, and this machine's clock."""
        super().__init__(alias, timeout_seconds, address)
        self.address = address or {}
        self._tables = list(tables)
        self._wall = wall
        self.reading = Reading(up=False)
        """What `read` returned last."""
        self.vitals = Vitals()

    def read(self) -> Reading:
        """Measure once."""
        reading = super().read()
        if reading.dialect is not None and self.vitals == Vitals():
            try:
                self.vitals = self._examine()
            except self._wrapper.Database.Error as error:
                self.close()
                reading = failed(error, self._wrapper.settings_dict)
        self.reading = reading
        return reading

    def _examine(self) -> Vitals:
        before = self._wall()
        told = self.ask(FACTS)
        ahead = _ahead(told.pop("clock", None), before, self._wall())
        unreadable = self.ask(UNREADABLE, self._tables).get("unreadable")
        return Vitals(**told, ahead=ahead, unreadable=tuple(unreadable or ()))


def _ahead(clock: float | None, before: float, after: float) -> float | None:
    """Return how far a clock that was read between two moments of another one is ahead of it, at least."""
    if clock is None:
        return None
    return clock - min(max(clock, before), after)
