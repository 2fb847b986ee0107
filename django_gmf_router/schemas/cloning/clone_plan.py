"""What will a clone do? All of it is known, and refused where it must be, before anything changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres import programs
from django_gmf_router.postgres.programs import Programs
from django_gmf_router.schemas.cloning import backups, catalog, refusals
from django_gmf_router.schemas.cloning.foreign_keys import ForeignKey, leaving_keys
from django_gmf_router.schemas.session import Session

CLIENTS = ("pg_dump", "pg_restore", "psql")
# A table that was never analyzed has -1 rows; those of the others say how many there are at least.
SIZE = """
SELECT count(*) FILTER (WHERE relkind IN ('r', 'p')), coalesce(sum(greatest(reltuples, 0)) FILTER
       (WHERE relkind = 'r'), 0)::bigint, coalesce(bool_or(reltuples < 0) FILTER (WHERE relkind = 'r'), false),
       coalesce(sum(pg_total_relation_size(oid)) FILTER (WHERE relkind IN ('r', 'm', 'S')), 0)::bigint
FROM pg_class WHERE relnamespace = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneRequest:
    """What was asked for."""

    source: str
    target: str
    replace: bool = False
    keep: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClonePlan:
    """What will be done."""

    source: str
    target: str
    building: str
    """The name of the copy until the swap."""
    source_oid: int
    replaced_oid: int | None
    """The target that stands now."""
    comment: str | None
    """The source's own, which the copy gets with its name."""
    leaves: list[ForeignKey]
    leftover: bool
    programs: Programs
    major: int
    tables: int
    rows: str
    """About how many, in words."""
    size_bytes: int
    keep: int | None
    old: list[str]
    """The backups that stand now."""
    replaced_keys: int
    """How many foreign keys to tables outside the target has, which it loses as a backup."""

    @property
    def size(self) -> str:
        """How much is copied, in words."""
        return f"{self.tables} tables, {self.rows}, {self.size_bytes / 2**20:,.1f} MB"

    def lines(self) -> Iterator[str]:
        """Say it, a step a line."""
        if self.leftover:
            yield f"remove {self.building}, which a killed clone left"
        yield f"copy {self.source} to {self.building}: {self.size}"
        yield f"  with pg_dump and psql of PostgreSQL {self.major} in {self.programs.directory}"
        for key in self.leaves:
            yield f"add {key}"
        yield f"verify {self.building} against the same snapshot of {self.source}"
        if self.replaced_oid is not None:
            yield f"rename {self.target} to {backups.beside(self.target, '_<timestamp>')}"
        yield f"rename {self.building} to {self.target}"
        if self.replaced_keys:
            yield f"drop {self.replaced_keys} foreign keys of the former {self.target} to tables outside"
        if self.keep is not None:
            kept = self.keep - (self.replaced_oid is not None)
            for name in self.old[max(kept, 0) :]:
                yield f"drop {name}, unless something outside depends on it"


def make(session: Session, request: CloneRequest) -> ClonePlan:
    """Return the plan; raise CloneRefused with the first thing that is in its way. Nothing changes."""
    refusals.by_server(session)
    source = refusals.existing(session, request.source)
    target = catalog.schema_oid(session, request.target)
    refusals.by_settings(session.wrapper.alias, request.source, request.target, replaces=target is not None)
    if target is not None and not request.replace:
        refusals.refuse(f"The schema {request.target!r} exists: --replace keeps it as a backup and takes its place")
    for name, oid in ((request.source, source), (request.target, target)):
        if oid is not None and (catalog.schema_comment(session, oid) or "").startswith(backups.KEPT):
            refusals.refuse(
                f"The schema {name!r} is a backup, without its foreign keys: bring it back by --rollback first"
            )
    major = session.wrapper.pg_version // 10000
    found = client_programs(major)
    refusals.by_source(session, request.source, source)
    if target is not None:
        refusals.by_target(session, request.target, target)
    building = backups.beside(request.target, backups.NEW)
    leftover = backups.leftover(session, building) is not None
    tables, counted, uncounted, size_bytes = session.rows(SIZE, [source])[0]
    rows = f"{'at least' if uncounted else 'about'} {counted:,} rows" if counted or not uncounted else "rows unknown"
    refusals.by_rights(session, request.source, request.target, source)
    refusals.by_locks(session, source)
    refusals.by_disk(session, size_bytes)
    return ClonePlan(
        source=request.source,
        target=request.target,
        building=building,
        source_oid=source,
        replaced_oid=target,
        comment=catalog.schema_comment(session, source),
        leaves=leaving_keys(session, source),
        leftover=leftover,
        programs=found,
        major=major,
        tables=tables,
        rows=rows,
        size_bytes=size_bytes,
        keep=request.keep,
        old=[backup.name for backup in backups.backups(session, request.target)],
        replaced_keys=len(leaving_keys(session, target)) if target is not None else 0,
    )


def client_programs(major: int) -> Programs:
    """Return psql, pg_dump and pg_restore of the server's own major version; raise CloneRefused without them.

    A newer pg_dump writes what an older server does not understand, an older one refuses a newer server.
    """
    try:
        return programs.find(CLIENTS, major=major)
    except programs.ProgramsMissing as error:
        raise CloneRefused(error.with_remedy(f"install postgresql-client-{major}")) from None
