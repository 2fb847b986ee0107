"""What is in the way of a clone? Each answer is one line, and comes before anything changes."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import NoReturn

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres import names
from django_gmf_router.schemas.cloning import catalog
from django_gmf_router.schemas.session import Session
from django_gmf_router.settings import configuration

SHOWN = 5
SPARE_LOCKS = 200
# What has an owner: its catalog, and how the names of the columns begin there. What stands or falls with another thing
# (row types, arrays, the constructors of ranges) goes without saying.
CATALOGS = {
    "pg_class": "rel",
    "pg_proc": "pro",
    "pg_type": "typ",
    "pg_operator": "opr",
    "pg_opclass": "opc",
    "pg_opfamily": "opf",
    "pg_collation": "coll",
    "pg_conversion": "con",
    "pg_statistic_ext": "stx",
    "pg_ts_config": "cfg",
    "pg_ts_dict": "dict",
}
OF_CATALOG = """
SELECT '{catalog}'::regclass AS classid, o.oid AS objid, {begin}owner AS owner, {begin}namespace AS schema
FROM {catalog} o WHERE NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = '{catalog}'::regclass AND d.objid = o.oid AND d.deptype = 'i'
)
"""
OWNED = " UNION ALL ".join(OF_CATALOG.format(catalog=catalog, begin=begin) for catalog, begin in CATALOGS.items())
# What the build creates stays locked until it commits, toast tables and their indexes too, and whatever is given an
# owner. pg_dump locks each table.
LOCKS_NEEDED = """
SELECT (SELECT count(*) + 2 * count(*) FILTER (WHERE reltoastrelid <> 0) + count(*) FILTER (WHERE relkind IN ('r', 'p'))
        FROM pg_class WHERE relnamespace = %(oid)s)
     + (SELECT count(*) FROM ({owned}) o WHERE schema = %(oid)s AND classid <> 'pg_class'::regclass)
"""
LOCKS = """
SELECT current_setting('max_locks_per_transaction')::bigint AS each,
       current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint AS sessions,
       (SELECT count(*) FROM pg_locks) AS held
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

# pg_dump copies owners: who runs it has to be able to give objects to them.
FOREIGN_OWNERS = """
SELECT DISTINCT format('%%s of %%s', pg_describe_object(classid, objid, 0), pg_get_userbyid(owner)) FROM ({owned}) o
WHERE schema = %(oid)s AND NOT pg_has_role(
    owner, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END
) ORDER BY 1
"""
# An owner has to be able to create in the schema when he is given an object: what was granted comes last in a dump.
OWNERS_BY_GRANT = """
SELECT DISTINCT format('%%s of %%s', pg_describe_object(classid, objid, 0), pg_get_userbyid(owner))
FROM ({owned}) o JOIN pg_namespace n ON n.oid = schema
WHERE schema = %(oid)s AND NOT pg_has_role(owner, nspowner, 'USAGE') ORDER BY 1
"""
GRANTED_ON = """
SELECT DISTINCT format('%%s by %%s', name, pg_get_userbyid(a.grantor)) FROM (
    SELECT relname::text AS name, relowner AS owner, relacl AS acl FROM pg_class WHERE relnamespace = %(oid)s
  UNION ALL
    SELECT format('%%s.%%s', relname, attname), relowner, attacl FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
    WHERE relnamespace = %(oid)s
  UNION ALL SELECT format('%%s()', proname), proowner, proacl FROM pg_proc WHERE pronamespace = %(oid)s
  UNION ALL SELECT typname, typowner, typacl FROM pg_type WHERE typnamespace = %(oid)s
  UNION ALL SELECT nspname, nspowner, nspacl FROM pg_namespace WHERE oid = %(oid)s
) given, aclexplode(acl) a WHERE a.grantor <> owner ORDER BY 1
"""
DEFAULTS_OF_OTHERS = """
SELECT DISTINCT pg_get_userbyid(defaclrole)::text FROM pg_default_acl
WHERE defaclnamespace = %(oid)s AND NOT pg_has_role(defaclrole, 'USAGE') ORDER BY 1
"""
CLOSED_TABLESPACES = """
SELECT DISTINCT format('%%s in %%s', relname, spcname) FROM pg_class JOIN pg_tablespace t ON t.oid = reltablespace
WHERE relnamespace = %(oid)s AND NOT has_tablespace_privilege(t.oid, 'CREATE') ORDER BY 1
"""
CLOSED_SERVERS = """
SELECT DISTINCT format('%%s on %%s', relname, srvname) FROM pg_foreign_table JOIN pg_class c ON c.oid = ftrelid
JOIN pg_foreign_server s ON s.oid = ftserver
WHERE relnamespace = %(oid)s AND NOT has_server_privilege(s.oid, 'USAGE') ORDER BY 1
"""
OF_SUPERUSERS = """
SELECT format('%%s() in %%s', proname, lanname) FROM pg_proc p JOIN pg_language l ON l.oid = prolang
WHERE pronamespace = %(oid)s AND prokind <> 'a' AND (NOT lanpltrusted OR proleakproof) AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i'
)
UNION SELECT format('operator class %%s', opcname) FROM pg_opclass WHERE opcnamespace = %(oid)s
UNION SELECT format('type %%s', typname) FROM pg_type
WHERE typnamespace = %(oid)s AND typtype = 'b' AND typcategory <> 'A' ORDER BY 1
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
    if session.value("SELECT current_setting('default_transaction_read_only')::bool"):
        refuse("The sessions here are read-only: default_transaction_read_only is set for the role, database or server")


def by_settings(alias: str, source: str, target: str, *, replaces: bool) -> None:
    """Refuse to mix up what SCHEMAS says all servers share with what each server has of its own."""
    schemas = configuration.schemas_of(alias)
    for name in (schemas.static, schemas.extensions) if schemas else ():
        if target == name or (source == name and replaces):
            refuse(
                f"The schema {name!r} is shared by all servers (GMF_ROUTER[{alias!r}]['SCHEMAS']): it is not to be "
                f"replaced, nor to take the place of {target!r}. Name two main schemas"
            )


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
        fixed = session.column(
            "SELECT extname FROM pg_extension WHERE extname = ANY(%s) AND NOT extrelocatable", [found]
        )
        remedy = "ALTER EXTENSION ... SET SCHEMA public first"
        if fixed:
            remedy = (
                f"Move these first; {some(fixed)} refuses ALTER EXTENSION ... SET SCHEMA: the docs of cloning say how"
            )
        refuse(f"In the schema {name!r} are extensions: {some(found)}. {remedy}")


def by_rights(session: Session, source: str, target: str, oid: int) -> None:
    """Refuse where the role may not do what the clone needs."""
    role, create = session.rows("SELECT current_user::text, has_database_privilege(current_database(), 'CREATE')")[0]
    if not create:
        refuse(f"The role {role!r} may not create schemas: GRANT CREATE ON DATABASE ... TO {names.quote(role)}")
    by_owner(session, [source, target])
    rules = {
        FOREIGN_OWNERS: f"The role {role!r} cannot be, by SET ROLE, the owners of what is in {source!r}",
        UNREADABLE: f"The role {role!r} cannot read all rows of {source!r}",
        UNREFERABLE: f"The role {role!r} lacks the right REFERENCES on tables that {source!r} refers to",
        DEFAULTS_OF_OTHERS: f"The role {role!r} may not set in {source!r} the default privileges of other roles",
        CLOSED_TABLESPACES: f"The role {role!r} may not create in the tablespaces of {source!r}",
        CLOSED_SERVERS: f"The role {role!r} may not use the foreign servers of {source!r}",
    }
    if not session.value("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        rules |= {
            OWNERS_BY_GRANT: f"Not of the owner of {source!r}, so that only a superuser can copy it",
            GRANTED_ON: f"Granted on in {source!r}, so that only a superuser can copy it",
            OF_SUPERUSERS: f"In {source!r} is what only a superuser can create",
        }
    for sql, reason in rules.items():
        if found := session.column(sql.format(owned=OWNED), {"oid": oid}):
            refuse(f"{reason}: {some(found)}. Grant it, or run as another role")


def by_owner(session: Session, schemas: list[str]) -> None:
    """Refuse schemas that the role may not rename."""
    sql = """SELECT current_user::text, nspname FROM pg_namespace
        WHERE nspname = ANY(%s) AND NOT pg_has_role(nspowner, 'USAGE')"""
    for role, name in session.rows(sql, [schemas]):
        refuse(f"The role {role!r} does not own the schema {name!r}: only its owner may rename it")


def by_locks(session: Session, oid: int) -> None:
    """Refuse more relations than the server has room for in its table of locks."""
    needed = session.value(LOCKS_NEEDED.format(owned=OWNED), {"oid": oid}) + SPARE_LOCKS
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
    # Another machine's, or closed to the user that this command runs as: then nothing is known.
    with suppress(OSError):
        check_room(shutil.disk_usage(directory or "").free, size_bytes)


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
