"""What is in a schema, and what holds on to it from outside? By the dependencies that PostgreSQL itself keeps."""

from __future__ import annotations

from django_gmf_router.schemas.session import Session

# What was created in a schema, and what cannot be without it: indexes, constraints, defaults, triggers, policies.
# What has a schema of its own belongs to that one: a partition elsewhere, say. A publication owns nothing on its list.
MEMBERS = """
{name} (classid, objid) AS (
    SELECT classid, objid FROM pg_depend
    WHERE refclassid = 'pg_namespace'::regclass AND refobjid = {oid} AND deptype = 'n'
      AND classid <> 'pg_extension'::regclass
  UNION
    SELECT d.classid, d.objid FROM pg_depend d JOIN {name} m ON d.refclassid = m.classid AND d.refobjid = m.objid
    WHERE d.deptype IN ('a', 'i', 'P', 'S') AND d.classid <> 'pg_publication_rel'::regclass
      AND NOT EXISTS (
        SELECT FROM pg_depend n WHERE n.classid = d.classid AND n.objid = d.objid
          AND n.refclassid = 'pg_namespace'::regclass AND n.refobjid <> {oid}
      )
)"""
OUTSIDERS = """
WITH RECURSIVE {members}
SELECT CASE WHEN r.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
            ELSE pg_describe_object('pg_class'::regclass, r.ev_class, 0) END
FROM pg_depend d JOIN inside i ON d.refclassid = i.classid AND d.refobjid = i.objid
LEFT JOIN inside o ON d.classid = o.classid AND d.objid = o.objid
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
WHERE o.objid IS NULL
UNION
SELECT pg_describe_object(classid, objid, 0) FROM pg_depend
WHERE refclassid = 'pg_namespace'::regclass AND refobjid = {oid}
  AND classid IN ('pg_publication_namespace'::regclass, 'pg_extension'::regclass)
ORDER BY 1
"""
REFERENCES = """
WITH RECURSIVE {copy}, {source}
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), pg_describe_object(d.refclassid, d.refobjid, 0)
FROM pg_depend d JOIN copy c ON d.classid = c.classid AND d.objid = c.objid
JOIN source s ON d.refclassid = s.classid AND d.refobjid = s.objid
ORDER BY 1, 2
"""
KINSHIP = """
SELECT format('%%s is a child of %%s', inhrelid::regclass, inhparent::regclass)
FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid JOIN pg_class p ON p.oid = inhparent
WHERE %(oid)s IN (c.relnamespace, p.relnamespace) AND c.relnamespace <> p.relnamespace
  AND c.relkind NOT IN ('i', 'I')
ORDER BY 1
"""
EXTENSIONS = """
SELECT DISTINCT e.extname FROM pg_extension e
LEFT JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
LEFT JOIN pg_depend n ON n.classid = d.classid AND n.objid = d.objid AND n.refclassid = 'pg_namespace'::regclass
WHERE %(oid)s IN (e.extnamespace, n.refobjid) ORDER BY 1
"""


def schema_oid(session: Session, name: str) -> int | None:
    """Return the oid of a schema, None without one."""
    found: int | None = session.value("SELECT oid FROM pg_namespace WHERE nspname = %s", [name])
    return found


def schema_comment(session: Session, oid: int) -> str | None:
    """Return the comment of a schema."""
    found: str | None = session.value("SELECT obj_description(%s, 'pg_namespace')", [oid])
    return found


def outsiders(session: Session, oid: int) -> list[str]:
    """Return the objects outside a schema that depend on what is in it, as PostgreSQL describes them."""
    return session.column(OUTSIDERS.format(members=_members("inside", oid), oid=oid))


def references(session: Session, copy: int, source: int) -> list[str]:
    """Return what in one schema depends on what is in the other, one line each."""
    sql = REFERENCES.format(copy=_members("copy", copy), source=_members("source", source))
    return [f"{what} refers to {on}" for what, on in session.rows(sql)]


def kin(session: Session, oid: int) -> list[str]:
    """Return the inheritance and partitioning that goes through the border of a schema, one line each."""
    return session.column(KINSHIP, {"oid": oid})


def extensions(session: Session, oid: int) -> list[str]:
    """Return the extensions that have something in a schema."""
    return session.column(EXTENSIONS, {"oid": oid})


def _members(name: str, oid: int) -> str:
    return MEMBERS.format(name=name, oid=int(oid))
