"""How does a copy of a schema come to be, under another name, before anybody sees it, and how far is it?

Renaming a schema blocks no reader and no writer. In one transaction: the source is renamed away, its dump restored,
which creates the source's name anew, the copy renamed, the source renamed back. Nobody sees it before the commit.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from django_gmf_router.postgres.names import quote
from django_gmf_router.schemas.cloning import backups
from django_gmf_router.schemas.cloning.clone_plan import ClonePlan
from django_gmf_router.schemas.cloning.psql import PsqlTransaction, dump_command, run
from django_gmf_router.schemas.session import LOCK_WAIT_MS, PROGRAMS, Session, literal

AWAY = "__away"
# An entry of an archive's table of contents: dump id; catalog, oid, description.
ENTRY = re.compile(r"\d+; (\d+) (\d+) (.*)")
PG_CONSTRAINT = "2606"
# ALTER DEFAULT PRIVILEGES without a schema gives rights to whatever the role creates: to the copy's objects too, on top
# of those in the dump. In the build's transaction they are set aside, and put back: nobody else sees it.
KINDS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES", "n": "SCHEMAS"}
GRANTS = """
WITH mine AS (
    SELECT defaclobjtype AS kind, defaclacl AS acl,
           acldefault(CASE defaclobjtype WHEN 'S' THEN 's' ELSE defaclobjtype END, defaclrole) AS usual
    FROM pg_default_acl JOIN pg_roles me ON me.oid = defaclrole AND me.rolname = current_user
    WHERE defaclnamespace = 0 AND defaclobjtype IN ('r', 'S', 'f', 'T', 'n')
), given AS (
    SELECT kind, true AS now, a.grantee, a.privilege_type, a.is_grantable FROM mine, aclexplode(acl) a
  UNION ALL
    SELECT kind, false, a.grantee, a.privilege_type, a.is_grantable FROM mine, aclexplode(usual) a
)
SELECT kind::text, CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, privilege_type, is_grantable,
       bool_or(now)
FROM given GROUP BY kind, grantee, privilege_type, is_grantable HAVING count(*) = 1
ORDER BY 1, 2, 3
"""
# pg_dump copies tables by name, byte by byte, whatever the database's collation.
TABLES = """
SELECT relname, pg_table_size(oid) FROM pg_class WHERE relnamespace = %s AND relkind = 'r' ORDER BY relname COLLATE "C"
"""
# What pg_dump has read of a table; the server counts it by itself.
COPYING = """
SELECT c.relname, p.tuples_processed, p.bytes_processed, c.reltuples::bigint
FROM pg_stat_progress_copy p JOIN pg_stat_activity a ON a.pid = p.pid JOIN pg_class c ON c.oid = p.relid
WHERE a.application_name = %s AND p.command = 'COPY TO' AND p.datid = a.datid AND a.datname = current_database()
"""


class Progress(Protocol):
    """What shows it."""

    def step(self, text: str) -> None:
        """Say what begins now."""
        ...

    def at(self, text: str, part: float) -> None:
        """Say where the step is, and which part of it is done, from 0 to 1."""
        ...


@contextmanager
def build(session: Session, plan: ClonePlan, snapshot: str, progress: Progress) -> Iterator[None]:
    """Build the copy as `snapshot` shows the source; raise CloneRefused and leave nothing when it cannot.

    The block runs while the server builds the indexes. After it the copy is there.
    """
    progress.step(f"copying {plan.source} to {plan.building}")
    tell = Copying(session, plan.source_oid, progress).report
    environment = session.environment()
    source, away = quote(plan.source), quote(backups.beside(plan.source, AWAY))
    grants = session.rows(GRANTS)
    with (
        # Without a name: nothing is left of them, whoever is killed.
        tempfile.TemporaryFile() as archive,
        tempfile.TemporaryFile() as kept,
        PsqlTransaction(plan.programs.path("psql"), environment, tell) as psql,
    ):
        # A role, database or service may bring time limits; the dump's own header lifts them too, but comes later. Only
        # the renaming waits for others: for who grants rights on the schema.
        opening = ["SET idle_in_transaction_session_timeout = 0", "SET statement_timeout = 0"]
        opening.append(f"SET lock_timeout = {LOCK_WAIT_MS}")
        if session.role:
            opening.append(f"SET ROLE {quote(session.role)}")
        opening += [_default_right(*right, grant=not given) for *right, given in grants]
        psql.write(_script(*opening, f"ALTER SCHEMA {source} RENAME TO {away}"))
        dump = dump_command(plan.programs, plan.source, session.role, "--snapshot", snapshot)
        psql.pour(*dump, "--section=pre-data", "--section=data")
        progress.step(f"building the indexes and constraints of {plan.building}")
        run((*dump, "--section=post-data", "-Fc"), environment, tell, output=archive)
        kept.write(_without_leaving_keys(plan, archive, environment).encode())
        kept.seek(0)
        archive.seek(0)
        restore = (plan.programs.path("pg_restore"), "-L", f"/dev/fd/{kept.fileno()}", "-f", "-")
        psql.pour(*restore, source=archive, passed=[kept.fileno()])
        closing = [
            f"ALTER SCHEMA {source} RENAME TO {quote(plan.building)}",
            f"COMMENT ON SCHEMA {quote(plan.building)} IS {literal(backups.MARK)}",
            f"ALTER SCHEMA {away} RENAME TO {source}",
        ]
        psql.write(_script(*closing, *(_default_right(*right, grant=given) for *right, given in grants)))
        yield
        psql.commit()


def _script(*statements: str) -> str:
    return "".join(f"{statement};\n" for statement in statements)


def _default_right(kind: str, who: str | None, right: str, grantable: bool, *, grant: bool) -> str:
    whom = "PUBLIC" if who is None else quote(who)
    if grant:
        option = " WITH GRANT OPTION" if grantable else ""
        return f"ALTER DEFAULT PRIVILEGES GRANT {right} ON {KINDS[kind]} TO {whom}{option}"
    return f"ALTER DEFAULT PRIVILEGES REVOKE {right} ON {KINDS[kind]} FROM {whom}"


def _without_leaving_keys(plan: ClonePlan, archive: IO[bytes], environment: dict[str, str]) -> str:
    """Return the archive's table of contents without the foreign keys that leave the schema, and their comments."""
    archive.seek(0)
    command = [plan.programs.path("pg_restore"), "-l"]
    listed = subprocess.run(command, stdin=archive, stdout=subprocess.PIPE, check=True, env=environment).stdout.decode()
    oids = {str(key.oid) for key in plan.leaves}
    comments = [key.archived_as() for key in plan.leaves if key.comment is not None]
    return "".join(f"{line}\n" for line in listed.splitlines() if not _leaves(line, oids, comments))


def _leaves(line: str, oids: set[str], comments: list[str]) -> bool:
    entry = ENTRY.match(line)
    if entry is None:
        return False
    catalog, oid, rest = entry.groups()
    if catalog == PG_CONSTRAINT and oid in oids:
        return True
    return rest.startswith("COMMENT") and any(f" {comment} " in rest.replace('"', "") for comment in comments)


class Copying:
    """How far a dump of a schema is: it stands at one table, and is through with those before it."""

    def __init__(self, session: Session, oid: int, progress: Progress) -> None:
        """Weigh the tables by what they take on the disk: their rows may never have been counted."""
        self._session = session
        self._progress = progress
        rows = session.rows(TABLES, [oid])
        self._places = {
            name: (place, sum(size for _, size in rows[:place]), size) for place, (name, size) in enumerate(rows)
        }
        self._all = max(sum(size for _, size in rows), 1)

    def report(self) -> None:
        """Ask the server which table is being copied."""
        for table, rows, done_bytes, of in self._session.rows(COPYING, [PROGRAMS]):
            # One that was made since begins at once.
            place, before, size = self._places.get(table, (0, 0, 0))
            about = f" of about {of:,}" if of >= 0 else ""
            where = f"{table}, table {place + 1} of {len(self._places)}, {rows:,}{about} rows"
            self._progress.at(where, (before + min(done_bytes, size)) / self._all)
