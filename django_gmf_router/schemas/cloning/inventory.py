"""What is in a schema, told so that two schemas can be compared: kind, name, definition.

The session looks from inside the schema, so that its own objects are named without it, and others with theirs.
"""

from __future__ import annotations

from django_gmf_router.postgres.names import quote
from django_gmf_router.schemas.cloning.sessions import Session

Inventory = dict[tuple[str, str], str]

RIGHTS = """(SELECT string_agg(item, ' ' ORDER BY item) FROM unnest({acl}::text[]) item)"""
PARTS = (
    # An index that is not valid is what a failed CREATE INDEX CONCURRENTLY left: pg_dump leaves it out.
    """
    SELECT 'relation', c.relname, concat_ws(' ', c.relkind, c.relpersistence, pg_get_userbyid(c.relowner), c.reloptions,
        c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relispopulated, pg_get_expr(c.relpartbound, c.oid),
        pg_get_partkeydef(c.oid), (SELECT amname FROM pg_am WHERE oid = c.relam), {relation_rights})
    FROM pg_class c WHERE c.relnamespace = {oid} AND c.relkind NOT IN ('i', 'I')
    """,
    """
    SELECT 'column', concat(c.relname, '.', a.attname), concat_ws(' ',
        row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
        a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcompression, a.attoptions, a.attcollation,
        nullif(a.attstattarget, -1), pg_get_expr(d.adbin, d.adrelid, true), {column_rights})
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = {oid} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    """,
    """
    SELECT 'constraint', concat(c.relname, t.typname, '.', k.conname),
        concat_ws(' ', k.contype, k.convalidated, pg_get_constraintdef(k.oid, true))
    FROM pg_constraint k LEFT JOIN pg_constraint p ON p.oid = k.conparentid
    LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_type t ON t.oid = k.contypid
    WHERE k.connamespace = {oid} AND p.conrelid IS DISTINCT FROM coalesce(nullif(k.conrelid, 0), 1)
    """,
    """
    SELECT 'index', c.relname, concat_ws(' ', i.indisclustered, i.indisreplident, pg_get_indexdef(c.oid, 0, true))
    FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.relnamespace = {oid} AND (i.indisvalid OR c.relkind = 'I')
    """,
    """
    SELECT 'trigger', concat(c.relname, '.', t.tgname), concat_ws(' ', t.tgenabled, pg_get_triggerdef(t.oid, true))
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = {oid} AND NOT t.tgisinternal
    """,
    """
    SELECT 'policy', concat(c.relname, '.', p.polname), concat_ws(' ', p.polcmd, p.polpermissive, p.polroles::regrole[],
        pg_get_expr(p.polqual, c.oid, true), pg_get_expr(p.polwithcheck, c.oid, true))
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = {oid}
    """,
    """
    SELECT 'rule', concat(c.relname, '.', r.rulename), concat_ws(' ', r.ev_enabled, pg_get_ruledef(r.oid, true))
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE c.relnamespace = {oid}
    """,
    """
    SELECT 'function', format('%s(%s)', p.proname, pg_get_function_identity_arguments(p.oid)), concat_ws(' ', p.prokind,
        l.lanname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.provolatile, p.proisstrict,
        p.prosecdef, p.proparallel, p.procost, p.prorows, pg_get_userbyid(p.proowner), p.proconfig, p.probin, p.prosrc,
        pg_get_function_sqlbody(p.oid), {function_rights})
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = {oid}
    """,
    """
    SELECT 'type', t.typname, concat_ws(' ', t.typtype, pg_get_userbyid(t.typowner), t.typnotnull, t.typdefault,
        CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
        (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid), {type_rights})
    FROM pg_type t WHERE t.typnamespace = {oid} AND t.typtype IN ('d', 'e', 'r')
    """,
    """
    SELECT 'sequence', c.relname,
        concat_ws(' ', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
        s.seqcycle)
    FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid WHERE c.relnamespace = {oid}
    """,
    """
    SELECT 'statistics', stxname, stxkind::text FROM pg_statistic_ext WHERE stxnamespace = {oid}
    """,
)
ACLS = {
    "relation_rights": """coalesce(c.relacl,
        acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))""",
    "column_rights": "a.attacl",
    "function_rights": "coalesce(p.proacl, acldefault('f', p.proowner))",
    "type_rights": "coalesce(t.typacl, acldefault('T', t.typowner))",
}
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = %s AND relkind = 'r' ORDER BY relname"
SEQUENCES = """
SELECT s.seqrelid::regclass::text, c.relname, a.attname, sign(s.seqincrement)::int
FROM pg_sequence s JOIN pg_class q ON q.oid = s.seqrelid
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
JOIN pg_class c ON c.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
WHERE q.relnamespace = %s AND c.relnamespace = q.relnamespace ORDER BY 1
"""
BEHIND = """
SELECT {sign} * ({last}({column}) - (SELECT last_value FROM {sequence})) > 0
    OR {last}({column}) = (SELECT last_value FROM {sequence} WHERE NOT is_called)
FROM {table}
"""
FUNCTIONS_THAT_SPELL = """
SELECT format('%%s(%%s)', proname, pg_get_function_identity_arguments(oid)) FROM pg_proc
WHERE pronamespace = %s AND prosqlbody IS NULL AND strpos(prosrc, %s) > 0 AND prosrc ~ %s ORDER BY 1
"""
COUNT = "(SELECT count(*) FROM ONLY {schema}.{table})"
BATCH = 200


def of_schema(session: Session, name: str, oid: int) -> Inventory:
    """Return what is in a schema."""
    session.look_from(quote(name))
    rights = {key: RIGHTS.format(acl=acl) for key, acl in ACLS.items()}
    rows = [row for part in PARTS for row in session.rows(part.format(oid=int(oid), **rights))]
    session.look_from()
    return {(kind, called): definition for kind, called, definition in rows}


def row_counts(session: Session, name: str, oid: int) -> dict[str, int]:
    """Return the number of rows of each table."""
    tables = session.column(TABLES, [oid])
    counted: dict[str, int] = {}
    for start in range(0, len(tables), BATCH):
        batch = tables[start : start + BATCH]
        counts = ", ".join(COUNT.format(schema=quote(name), table=quote(table)) for table in batch)
        counted.update(zip(batch, session.rows(f"VALUES ({counts})")[0], strict=True))
    return counted


def sequences_behind(session: Session, name: str, oid: int) -> list[str]:
    """Return the columns whose sequence will give a number that a row has already."""
    behind = []
    for sequence, table, column, sign in session.rows(SEQUENCES, [oid]):
        names = {"last": "min" if sign < 0 else "max", "column": quote(column), "sequence": sequence}
        if session.value(BEHIND.format(sign=sign, table=f"{quote(name)}.{quote(table)}", **names)):
            behind.append(f"{table}.{column}")
    return behind


def functions_that_spell(session: Session, oid: int, name: str) -> list[str]:
    """Return the functions of a schema whose text holds a name: PostgreSQL does not know what they mean by it."""
    word = r"\m" + "".join(f"[{letter}]" if letter not in r"\^]" else rf"\{letter}" for letter in name) + r"\M"
    return session.column(FUNCTIONS_THAT_SPELL, [oid, name, word])
