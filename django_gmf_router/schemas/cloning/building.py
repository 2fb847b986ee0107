"""How does a copy of a schema come to be, under another name, before anybody sees it?

Renaming a schema blocks no reader and no writer. In one transaction: the source is renamed away, its dump restored,
which creates the source's name anew, the copy renamed, the source renamed back. Nobody sees it before the commit.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable
from typing import IO

from django_gmf_router.postgres.names import quote
from django_gmf_router.schemas.cloning import backups, default_rights
from django_gmf_router.schemas.cloning.feed import Feed, run
from django_gmf_router.schemas.cloning.plan import Plan
from django_gmf_router.schemas.cloning.sessions import Session, literal

AWAY = "__away"
LOCK_WAIT_MS = 60_000
# An entry of an archive's table of contents: dump id; catalog, oid, description.
ENTRY = re.compile(r"\d+; (\d+) (\d+) (.*)")
PG_CONSTRAINT = "2606"


def build(session: Session, plan: Plan, snapshot: str, tell: Callable[[], None]) -> None:
    """Build the copy as `snapshot` shows the source; raises CloneRefused and leaves nothing when it cannot."""
    environment = session.environment()
    rights = default_rights.of_role(session)
    with (
        # Without a name: nothing is left of them, whoever is killed.
        tempfile.TemporaryFile() as archive,
        tempfile.TemporaryFile() as kept,
        Feed(plan.programs.path("psql"), environment, tell) as feed,
    ):
        feed.write(_opening(session, plan, rights.set_aside))
        dump = _dump(session, plan, snapshot)
        feed.pour(*dump, "--section=pre-data", "--section=data")
        run((*dump, "--section=post-data", "-Fc"), environment, tell, output=archive)
        kept.write(_without_leaving_keys(plan, archive, environment).encode())
        kept.seek(0)
        archive.seek(0)
        restore = (plan.programs.path("pg_restore"), "-L", f"/dev/fd/{kept.fileno()}", "-f", "-")
        feed.pour(*restore, source=archive, passed=[kept.fileno()])
        feed.write(_closing(plan, rights.put_back))
        feed.commit()


def _dump(session: Session, plan: Plan, snapshot: str) -> tuple[str, ...]:
    role = ("--role", session.role) if session.role else ()
    return (
        *(plan.programs.path("pg_dump"), "-w", "--strict-names", "-n", quote(plan.source), *role),
        *("--snapshot", snapshot, f"--lock-wait-timeout={LOCK_WAIT_MS}"),
    )


def _away(plan: Plan) -> str:
    return backups.beside(plan.source, AWAY)


def _opening(session: Session, plan: Plan, rights: list[str]) -> str:
    # A role, database or service may bring time limits; the dump's own header lifts them too, but comes later.
    lines = ["SET idle_in_transaction_session_timeout = 0", "SET statement_timeout = 0"]
    if session.role:
        lines.append(f"SET ROLE {quote(session.role)}")
    lines += [*rights, f"ALTER SCHEMA {quote(plan.source)} RENAME TO {quote(_away(plan))}"]
    return "".join(f"{line};\n" for line in lines)


def _closing(plan: Plan, rights: list[str]) -> str:
    lines = [
        f"ALTER SCHEMA {quote(plan.source)} RENAME TO {quote(plan.building)}",
        f"COMMENT ON SCHEMA {quote(plan.building)} IS {literal(backups.MARK)}",
        f"ALTER SCHEMA {quote(_away(plan))} RENAME TO {quote(plan.source)}",
        *rights,
    ]
    return "".join(f"{line};\n" for line in lines)


def _without_leaving_keys(plan: Plan, archive: IO[bytes], environment: dict[str, str]) -> str:
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
