"""What does clone_schema do, step by step?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from django.db import Error, OperationalError

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres.libpq import parse
from django_gmf_router.postgres.names import quote, search_path
from django_gmf_router.schemas.cloning import backups, catalog, clone_plan, foreign_keys, refusals
from django_gmf_router.schemas.cloning.backups import Backup
from django_gmf_router.schemas.cloning.building import Progress, build
from django_gmf_router.schemas.cloning.clone_plan import ClonePlan, CloneRequest
from django_gmf_router.schemas.cloning.verification import expect, verify
from django_gmf_router.schemas.session import PROGRAMS, Session, literal, schemas_locked

# Of a command that was killed: its programs go on until they notice, and hold what the next one needs.
ORPHANS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE application_name = %s AND datname = current_database() AND usename = session_user
"""
ANALYZED = "SELECT relname FROM pg_class WHERE relnamespace = %s AND relkind IN ('r', 'p', 'm') ORDER BY relname"
# The search_path of a function is a text, which a dump hands on as it is.
SEARCH_PATHS = """
SELECT p.oid::regprocedure::text, substr(setting, length('search_path=') + 1) FROM pg_proc p, unnest(proconfig) setting
WHERE pronamespace = %s AND starts_with(setting, 'search_path=')
"""


@dataclass(kw_only=True)
class Result:
    """What was done."""

    copied: str | None = None
    """How much, in words."""
    backup: str | None = None
    dropped: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def explain(alias: str, request: CloneRequest) -> list[str]:
    """Return the plan in lines; nothing changes."""
    refusals.by_name(request.source, request.target)
    with Session(alias) as session, schemas_locked(session.wrapper):
        return list(clone_plan.make(session, request).lines())


def clone(alias: str, request: CloneRequest, shown: Progress) -> Result:
    """Clone a schema; raise CloneRefused, and then source and target are as they were."""
    refusals.by_name(request.source, request.target)
    with Session(alias) as session, schemas_locked(session.wrapper):
        made = clone_plan.make(session, request)
        session.rows(ORPHANS, [PROGRAMS])
        if made.leftover:
            shown.step(f"removing {made.building}, which a killed clone left")
            backups.remove(session, made.building)
        with _removed_on_failure(session, made.building):
            warnings = _make_copy(session, made, alias, shown)
            backup = _swap(session, made, alias)
        result = Result(copied=made.size, backup=backup, warnings=warnings)
        _tidy(session, request.target, request.keep, result)
        return result


def roll_back(alias: str, target: str, keep: int | None) -> tuple[str, Result]:
    """Swap the newest backup of a target back; return its name and what was done."""
    with Session(alias) as session, schemas_locked(session.wrapper):
        refusals.by_server(session)
        restored, result = _swap_back(session, target)
        _tidy(session, target, keep, result)
        return restored, result


def explain_roll_back(alias: str, target: str) -> list[str]:
    """Return in lines what a rollback would do; nothing changes."""
    with Session(alias) as session, schemas_locked(session.wrapper):
        refusals.by_server(session)
        saved, oid = _newest_backup(session, target)
        aside = [f"rename {target} to {backups.beside(target, '_<timestamp>')}"] if oid is not None else []
        return [*(f"add {key}" for key in saved.keys), *aside, f"rename {saved.name} to {target}"]


def _make_copy(session: Session, made: ClonePlan, alias: str, shown: Progress) -> list[str]:
    with _snapshot(alias) as (snapshot, identifier):
        with build(session, made, identifier, shown):
            expected = expect(session, made, snapshot)
        copy = refusals.existing(session, made.building)
        if made.leaves:
            shown.step(f"adding {len(made.leaves)} foreign keys to tables outside")
            foreign_keys.add(session, made.building, made.leaves)
        shown.step(f"analyzing {made.building}")
        tables = session.column(ANALYZED, [copy])
        for number, table in enumerate(tables):
            shown.at(f"{table}, table {number + 1} of {len(tables)}", number / len(tables))
            session.run(f"ANALYZE {quote(made.building)}.{quote(table)}")
        shown.step(f"verifying {made.building}")
        return verify(session, made, copy, snapshot, expected)


def _swap(session: Session, made: ClonePlan, alias: str) -> str | None:
    """Let the copy take the target's name, and the target, where there is one, that of a backup, which is returned."""
    backup = backups.next_backup(session, made.target) if made.replaced_oid is not None else None
    copy = refusals.existing(session, made.building)
    statements = [f"COMMENT ON SCHEMA {quote(made.building)} IS {literal(made.comment)}"]
    for routine, setting in session.rows(SEARCH_PATHS, [copy]):
        path = [made.target if name == made.source else name for name in parse(setting)]
        if made.source in parse(setting):
            statements.append(f"ALTER ROUTINE {routine} SET search_path = {search_path(*path)}")
    try:
        _rename(session, made.building, made.target, statements, replaced=made.replaced_oid, backup=backup)
    except (OperationalError, KeyboardInterrupt):
        # What comes in between while it commits does not tell whether it did: a new connection does.
        with Session(alias) as fresh:
            if catalog.schema_oid(fresh, made.target) != copy:
                raise
    return backup


def _swap_back(session: Session, target: str) -> tuple[str, Result]:
    """Swap the newest backup back; return its name and what was done: the target, if it stands, is a backup then."""
    saved, oid = _newest_backup(session, target)
    result = Result(backup=backups.next_backup(session, target) if oid is not None else None)
    saved_oid = refusals.existing(session, saved.name)
    # Of a backup whose keys could not be dropped some stand yet.
    standing = {(key.table, key.name) for key in foreign_keys.leaving_keys(session, saved_oid)}
    comment = f"COMMENT ON SCHEMA {quote(saved.name)} IS {literal(saved.comment)}"
    try:
        missing = [key for key in saved.keys if (key.table, key.name) not in standing]
        tried = [foreign_keys.add_again(session, saved.name, key) for key in missing]
        result.warnings = [reason for reason in tried if reason]
        _rename(session, saved.name, target, [comment], replaced=oid, backup=result.backup)
    except BaseException:
        with suppress(Error, CloneRefused):
            backups.release(session, target)
        raise
    return saved.name, result


def _newest_backup(session: Session, target: str) -> tuple[Backup, int | None]:
    """Return the backup to swap back, and the oid of the target that stands now; raise CloneRefused without one."""
    saved = backups.backups(session, target)
    if not saved:
        raise CloneRefused(f"There is no backup of {target!r}: only clone_schema --replace makes one.")
    oid = catalog.schema_oid(session, target)
    if oid is not None:
        refusals.by_target(session, target, oid)
    refusals.by_owner(session, [saved[0].name, target])
    return saved[0], oid


def _rename(
    session: Session, name: str, target: str, statements: list[str], *, replaced: int | None, backup: str | None
) -> None:
    """Let a schema take its target's name, in one transaction with statements about it."""

    def rename() -> None:
        if catalog.schema_oid(session, target) != replaced:
            raise CloneRefused(f"Somebody else created, dropped or renamed {target!r} meanwhile: try again.")
        if replaced is not None and backup is not None:
            # Again, since building took its time.
            refusals.by_target(session, target, replaced)
            comment = literal(backups.comment_of_backup(session, target, replaced))
            session.run(f"COMMENT ON SCHEMA {quote(target)} IS {comment}")
            session.run(f"ALTER SCHEMA {quote(target)} RENAME TO {quote(backup)}")
        for statement in (*statements, f"ALTER SCHEMA {quote(name)} RENAME TO {quote(target)}"):
            session.run(statement)

    session.change(f"rename {name} to {target}", rename)


@contextmanager
def _snapshot(alias: str) -> Iterator[tuple[Session, str]]:
    """Keep a snapshot of the database, and its identifier for pg_dump."""
    with Session(alias) as session:
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield session, session.value("SELECT pg_export_snapshot()")


@contextmanager
def _removed_on_failure(session: Session, building: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # Where the connection is lost too, the next run removes it. After Ctrl-C the driver's cancel may come so late
        # that it hits this statement in place of the one that it was meant for: once more.
        for _ in range(2):
            with suppress(Error, CloneRefused):
                backups.remove(session, building)
        raise


def _tidy(session: Session, target: str, keep: int | None, result: Result) -> None:
    """Drop the backups but those to keep, and the foreign keys of these."""
    # The swap is done, so what goes wrong from here on is no failure.
    try:
        if keep is not None:
            result.dropped, stayed = backups.prune(session, target, keep)
            result.warnings += stayed
        result.warnings += backups.release(session, target)
    except (Error, KeyboardInterrupt) as error:
        result.warnings.append(f"older backups stay as they are: {' '.join(str(error).split()) or 'interrupted'}")
