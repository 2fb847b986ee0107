"""Which facts does a server tell of itself, and by which function? Facts without policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from django_gmf_router.postgres.positions import number_of

IN_RECOVERY = "pg_is_in_recovery"
WRITTEN = frozenset({IN_RECOVERY, "pg_current_wal_insert_lsn", "pg_walfile_name"})
"""What a primary must tell, so that a token can say where a client wrote."""
REPLAYED = frozenset({IN_RECOVERY, "pg_last_wal_replay_lsn"})
"""What a replica must tell, so that it can be asked for that."""
FLUSHED = "pg_current_wal_flush_lsn"
"""What a primary must tell, so that lag is known: what is written and not flushed no replica receives."""
IDENTITY = "pg_control_system"
IDENTIFY = "SELECT system_identifier::text FROM pg_control_system()"
CONTROL = "gmf_router_control"
"""The table of what operators say; where it is missing nobody steers, which is no refusal."""
MIGRATIONS = "django_migrations"
"""Django's table of the migrations that were applied; where it is missing or not to be read it tells nothing."""
_TABLES = frozenset({CONTROL, MIGRATIONS})
# To be called, not looked up: Aurora's pg_proc does not list it.
IS_AURORA = "SELECT aurora_version()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A kind of server, or one that refuses some of what its kind tells."""

    name: str
    facts: Mapping[str, str]
    """By the function that tells it: an expression. `r` in it says whether the server is in recovery."""
    refused: tuple[str, ...] = ()
    """The functions that the server refused."""
    row: str = field(init=False, repr=False, compare=False)
    """The SQL that asks for all facts at once, in their order."""

    def __post_init__(self) -> None:
        """Write the SQL once, not with each probe."""
        # The fence keeps one answer for the whole row: a promotion may come in between.
        r = "NULL::bool" if IN_RECOVERY in self.refused else f"{IN_RECOVERY}()"
        row = f"SELECT {', '.join(self.facts.values())} FROM (SELECT {r} AS r OFFSET 0) AS node"  # noqa: S608
        object.__setattr__(self, "row", row)

    def only(self, function: str) -> Dialect:
        """Return this dialect with one fact alone."""
        return replace(self, facts={function: self.facts[function]})

    def without(self, function: str) -> Dialect:
        """Return the dialect of a server that refused this function."""
        facts = {name: sql for name, sql in self.facts.items() if name != function}
        return replace(self, facts=facts, refused=(*self.refused, *({function} - _TABLES)))


_ANY = {
    "current_database": "current_database()::text",
    "clock_timestamp": "extract(epoch FROM clock_timestamp())::float8",
    # A row comes with each that is applied, under a number of its own, and goes with each that is unapplied.
    MIGRATIONS: f"(SELECT count(*) || ' ' || coalesce(max(id), 0) FROM {MIGRATIONS})",  # noqa: S608
    CONTROL: f"(SELECT version || ' ' || state FROM {CONTROL} ORDER BY version DESC LIMIT 1)",  # noqa: S608
}
POSTGRESQL = Dialect(
    name="PostgreSQL",
    facts={
        IN_RECOVERY: "r",
        "pg_last_wal_replay_lsn": number_of("CASE WHEN r THEN pg_last_wal_replay_lsn() END"),
        "pg_current_wal_insert_lsn": number_of("CASE WHEN NOT r THEN pg_current_wal_insert_lsn() END"),
        FLUSHED: number_of("CASE WHEN NOT r THEN pg_current_wal_flush_lsn() END"),
        "pg_walfile_name": "CASE WHEN NOT r THEN pg_walfile_name(pg_current_wal_insert_lsn()) END",
        "pg_last_xact_replay_timestamp": "extract(epoch FROM pg_last_xact_replay_timestamp())::float8",
        "pg_postmaster_start_time": "extract(epoch FROM pg_postmaster_start_time())::float8",
        **_ANY,
    },
)
# Aurora User Guide, "aurora_replica_status". Its LSNs are of its storage, so there are no positions.
AURORA = Dialect(
    name="Aurora",
    facts={
        IN_RECOVERY: "r",
        "aurora_replica_status": (
            "(SELECT max(replica_lag_in_msec) / 1000.0 FROM aurora_replica_status()"
            " WHERE r AND session_id <> 'MASTER_SESSION_ID' AND server_id = aurora_db_instance_identifier())::float8"
        ),
        "pg_postmaster_start_time": POSTGRESQL.facts["pg_postmaster_start_time"],
        **_ANY,
    },
)
OTHER = Dialect(name="other", facts=_ANY)
"""A server that tells nothing of replication."""
