"""What is in the way of a clone? Each answer is one line, and comes before anything changes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NoReturn

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres import names
from django_gmf_router.schemas.cloning import catalog
from django_gmf_router.schemas.cloning.session import Session

SHOWN = 5
SPARE_LOCKS = 200
# What the build creates stays locked until it commits, toast tables and their indexes too. pg_dump locks each table.
LOCKS_NEEDED = """
SELECT count(*) + 2 * count(*) FILTER (WHERE reltoastrelid <> 0) + count(*) FILTER (WHERE relkind IN ('r', 'p'))
FROM pg_class WHERE relnamespace = %s
"""
LOCKS = """
SELECT current_setting('max_locks_per_transaction')::bigint AS each,
       current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint AS sessions,
       (SELECT count(*) FROM pg_locks) AS held
"""
# pg_dump copies owners: who runs it has to be able to give objects to them. The constructors of range types are made
# with these, and belong to PostgreSQL.
FOREIGN_OWNERS = """
SELECT DISTINCT format('%%s of %%s', c.relname, pg_get_userbyid(c.relowner)) FROM pg_class c
WHERE c.relnamespace = %(oid)s AND NOT pg_has_role(c.relowner, 'MEMBER')
UNION
SELECT DISTINCT format('%%s() of %%s', p.proname, pg_get_userbyid(p.proowner)) FROM pg_proc p
WHERE p.pronamespace = %(oid)s AND NOT pg_has_role(p.proowner, 'MEMBER') AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i'
) ORDER BY 1
"""
UNREADABLE = """
SELECT c.relname FROM pg_class c, pg_roles me
WHERE c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p', 'm', 'S') AND me.rolname = current_user AND (
    NOT has_table_privilege(c.oid, 'SELECT') OR (c.relrowsecurity AND NOT me.rolbypassrls AND NOT me.rolsuper
        AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')))
) ORDER BY 1
"""
UNREFERABLE = """
SELECT DISTINCT k.confrelid::regclass::text FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid
WHERE k.contype = 'f' AND c.relnamespace = %(oid)s AND r.relnamespace <> c.relnamespace
  AND NOT has_table_privilege(r.oid, 'REFERENCES') ORDER BY 1
"""

LOCAL_DATA = """
SELECT setting FROM pg_settings
WHERE name = 'data_directory' AND inet_server_addr() IS NOT DISTINCT FROM inet_client_addr()
"""


def refuse(reason: str) -> NoReturn:
    """Raise CloneRefused."""
    raise CloneRefused(f"{reason.rstrip('.')}.")


def by_name(source: str, target: str) -> None:
    """Refuse names that no schema can have, or that are not to be touched."""
    for name in (source, target):
        if reason := names.problem(name):
            refuse(reason)
        if name == "public":
            refuse("The schema 'public' is every database's own and cannot be cloned or replaced: name another one")
    if source == target:
        refuse(f"SOURCE and TARGET are both {source!r}: name another TARGET")


def by_server(session: Session) -> None:
    """Refuse a server that takes no writes."""
    if session.value("SELECT pg_is_in_recovery()"):
        refuse("This server is a replica: clone on its primary (--database), the replicas follow")


def existing(session: Session, name: str) -> int:
    """Return the oid of a schema; refuse where there is none."""
    oid = catalog.schema_oid(session, name)
    if oid is None:
        refuse(f"There is no schema {name!r} in the database {session.wrapper.settings_dict['NAME']!r}: check the name")
    return oid


def by_source(session: Session, name: str, oid: int) -> None:
    """Refuse what pg_dump cannot take apart from the rest of the database."""
    _by_extensions(session, name, oid)
    if found := catalog.kin(session, oid):
        refuse(f"Tables inherit through the border of {name!r}: {some(found)}. A copy would join their rows")


def by_target(session: Session, name: str, oid: int) -> None:
    """Refuse to replace what something outside holds on to: it would follow the old schema, under its new name."""
    _by_extensions(session, name, oid)
    if found := catalog.outsiders(session, oid):
        refuse(f"Outside the schema {name!r} depend on it: {some(found)}. Drop or move these first")


def _by_extensions(session: Session, name: str, oid: int) -> None:
    # A database has each extension once.
    if found := catalog.extensions(session, oid):
        refuse(f"In the schema {name!r} are extensions: {some(found)}. ALTER EXTENSION ... SET SCHEMA public first")


def by_rights(session: Session, source: str, target: str, oid: int) -> None:
    """Refuse where the role may not do what the clone needs."""
    role, create = session.rows("SELECT current_user::text, has_database_privilege(current_database(), 'CREATE')")[0]
    if not create:
        refuse(f"The role {role!r} may not create schemas: GRANT CREATE ON DATABASE ... TO {names.quote(role)}")
    by_owner(session, [source, target])
    rules = {
        FOREIGN_OWNERS: f"The role {role!r} is no member of the owners of what is in {source!r}",
        UNREADABLE: f"The role {role!r} cannot read all rows of {source!r}",
        UNREFERABLE: f"The role {role!r} lacks the right REFERENCES on tables that {source!r} refers to",
    }
    for sql, reason in rules.items():
        if found := session.column(sql, {"oid": oid}):
            refuse(f"{reason}: {some(found)}. Grant it, or run as another role")


def by_owner(session: Session, schemas: list[str]) -> None:
    """Refuse schemas that the role may not rename."""
    sql = """SELECT current_user::text, nspname FROM pg_namespace
        WHERE nspname = ANY(%s) AND NOT pg_has_role(nspowner, 'USAGE')"""
    for role, name in session.rows(sql, [schemas]):
        refuse(f"The role {role!r} does not own the schema {name!r}: only its owner may rename it")


def by_locks(session: Session, oid: int) -> None:
    """Refuse more relations than the server has room for in its table of locks."""
    needed = session.value(LOCKS_NEEDED, [oid]) + SPARE_LOCKS
    each, sessions, held = session.rows(LOCKS)[0]
    if needed > each * sessions - held:
        enough = -(-(needed + held) // sessions)
        refuse(
            f"A clone needs about {needed} locks at once, the server has room for {each * sessions - held}: "
            f"set max_locks_per_transaction to {enough} or more and restart it"
        )


def by_disk(session: Session, size_bytes: int) -> None:
    """Refuse where the server's disk is this machine's, and too full."""
    directory = session.value(LOCAL_DATA)
    if directory and Path(directory).exists():
        check_room(shutil.disk_usage(directory).free, size_bytes)


def check_room(free_bytes: int, size_bytes: int) -> None:
    """Refuse a disk without room for the copy and as much log of it."""
    needed = 2 * size_bytes
    if free_bytes < needed:
        refuse(
            f"The copy and its log need {needed / 2**20:,.0f} MB, the server's disk has {free_bytes / 2**20:,.0f} MB"
        )


def some(found: list[str]) -> str:
    """Return the first of many names."""
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more
