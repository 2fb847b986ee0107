"""Is the copy what the snapshot shows of the source, and does it stand by itself?

The definitions are compared as pg_dump writes them, which knows all that a schema can hold. What such a dump does not
tell is asked for: rows, values of sequences, and what in the copy refers to the source.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres.names import quote
from django_gmf_router.schemas.cloning import catalog
from django_gmf_router.schemas.cloning.clone_plan import ClonePlan
from django_gmf_router.schemas.cloning.psql import dump_command, run
from django_gmf_router.schemas.cloning.refusals import some
from django_gmf_router.schemas.session import Session

Definitions = dict[tuple[str, str], list[str]]

# How pg_dump introduces what it writes of an object.
HEADER = re.compile(r"^-- Name: (.*); Type: (.*?); Schema: .*\n", re.MULTILINE)
# What stands between objects, and differs from dump to dump.
BETWEEN = re.compile(r"--( PostgreSQL database dump complete)?|\\(un)?restrict .*|")
# Said before the first object that it holds for; it stands behind another one, which it says nothing of.
STORAGE = re.compile(r"SET (default_tablespace|default_table_access_method) = .*")
STORED = {
    "default_tablespace": {"TABLE", "MATERIALIZED VIEW", "INDEX", "CONSTRAINT"},
    "default_table_access_method": {"TABLE", "MATERIALIZED VIEW"},
}
SCHEMA_COMMENT = ("COMMENT", "SCHEMA")
"""The copy's own until the swap."""
COUNTED = """
SELECT relname, relkind FROM pg_class
WHERE relnamespace = %s AND (relkind = 'r' OR relkind = 'm' AND relispopulated) ORDER BY relname
"""
# The rows of a materialized view may be newer than those of the source's.
COUNTS = {"r": "(SELECT count(*) FROM ONLY {schema}.{table})", "m": "1"}
BATCH = 200
SEQUENCES = """
SELECT s.seqrelid::regclass::text, c.relname, a.attname, sign(s.seqincrement)::int
FROM pg_sequence s JOIN pg_class q ON q.oid = s.seqrelid
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
JOIN pg_class c ON c.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
JOIN pg_type t ON t.oid = a.atttypid
WHERE q.relnamespace = %s AND c.relnamespace = q.relnamespace
  AND coalesce(nullif(t.typbasetype, 0), t.oid)::regtype::text = ANY(%s) ORDER BY 1
"""
BEHIND = """
SELECT {sign} * ({last}({column}) - (SELECT last_value FROM {sequence})) > 0
    OR {last}({column}) = (SELECT last_value FROM {sequence} WHERE NOT is_called)
FROM {table}
"""
# Only what counts can be behind: a sequence may also be owned by a column whose default makes text of it.
NUMBERS = ["smallint", "integer", "bigint", "numeric", "real", "double precision"]
LITERAL = re.compile(r"'((?:[^']|'')*)'")
BODY = "\n    AS "
"""Where the text of a function begins, in its definition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the copy must be: the source as the snapshot shows it."""

    definitions: Definitions
    rows: dict[str, int]


def expect(session: Session, plan: ClonePlan, snapshot: Session) -> Expected:
    """Return what `snapshot` shows of the source."""
    identifier = snapshot.value("SELECT pg_export_snapshot()")
    text = _dump(session, plan, plan.source, "--snapshot", identifier)
    rows = row_counts(snapshot, plan.source, plan.source_oid)
    return Expected(definitions=definitions(_renamed(text, plan)), rows=rows)


def verify(session: Session, plan: ClonePlan, copy: int, snapshot: Session, expected: Expected) -> list[str]:
    """Compare the copy with what is expected of it; return warnings, or raise CloneRefused."""
    wanted, copied = expected.definitions, _dump(session, plan, plan.building)
    found = definitions(_renamed(copied, plan))
    keys = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    if keys:
        changes = [_difference(*key, wanted.get(key, []), found.get(key, [])) for key in keys]
        raise _different(plan, f"not the same: {some(changes)}")
    rows, counted = expected.rows, row_counts(session, plan.building, copy)
    if rows != counted:
        tables = [f"{name} {counted.get(name, 'nothing')} of {n}" for name, n in rows.items() if counted.get(name) != n]
        raise _different(plan, f"rows are missing or too many: {some(tables)}")
    if references := catalog.references(session, copy, plan.source_oid):
        raise _different(plan, f"in it {some(references)}")
    warnings = []
    if behind := sequences_behind(session, plan.building, copy):
        at_source = sequences_behind(snapshot, plan.source, plan.source_oid)
        if fresh := [column for column in behind if column not in at_source]:
            raise _different(plan, f"sequences are behind their columns: {some(fresh)}")
        warnings.append(f"sequences are behind their columns, as in {plan.source}: {some(behind)}")
    named = spelling(definitions(copied), plan.source)
    return warnings + [f"the {what} spells the name {plan.source}: look what it means" for what in named]


def _different(plan: ClonePlan, what: str) -> CloneRefused:
    return CloneRefused(
        f"The copy of {plan.source!r} is not what it should be, {what}. Was the schema changed meanwhile?"
    )


def _dump(session: Session, plan: ClonePlan, schema: str, *options: str) -> str:
    """Return the definitions of a schema. All names are quoted, whoever writes them, so that one can be replaced."""
    command = dump_command(plan.programs, schema, session.role, "-s", "--quote-all-identifiers", *options)
    with tempfile.TemporaryFile() as output:
        run(command, session.environment(), lambda: None, output=output)
        output.seek(0)
        return output.read().decode(errors="surrogateescape")


def _renamed(text: str, plan: ClonePlan) -> str:
    """Return a dump with the name of the source in place of the copy's: as a name, and as one within a string."""
    copy, source = quote(plan.building), quote(plan.source)
    return text.replace(copy, source).replace(copy.replace("'", "''"), source.replace("'", "''"))


def definitions(text: str) -> Definitions:
    """Return the lines of a dump by the type and name of the object; without what differs from dump to dump."""
    found: Definitions = {}
    storage: dict[str, str] = {}
    _, *parts = HEADER.split(text)
    for name, kind, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        # That of the schema itself stands without quotes.
        key = (kind, "SCHEMA" if kind == "SCHEMA" or name.startswith("SCHEMA ") else name.replace('"', ""))
        lines = found.setdefault(key, [])
        lines += [line for what, line in storage.items() if kind in STORED[what]]
        for line in body.splitlines():
            if says := STORAGE.fullmatch(line):
                storage[says[1]] = line
            elif not BETWEEN.fullmatch(line):
                lines.append(line)
    found.pop(SCHEMA_COMMENT, None)
    return found


def _difference(kind: str, name: str, wanted: list[str], found: list[str]) -> str:
    what = f"{kind.lower()} {name}"
    if not wanted or not found:
        return f"{what} is {'too many' if found else 'missing'}"
    wanted, found = [[line.strip(" ,;") for line in lines] for lines in (wanted, found)]
    line = next((line for line in (*found, *wanted) if (line in found) != (line in wanted)), "the order of its lines")
    return f"{what} ({line})"


def row_counts(session: Session, name: str, oid: int) -> dict[str, int]:
    """Return the number of rows of each table, and 1 for each materialized view that was filled."""
    tables = session.rows(COUNTED, [oid])
    counted: dict[str, int] = {}
    for start in range(0, len(tables), BATCH):
        batch = tables[start : start + BATCH]
        counts = ", ".join(COUNTS[kind].format(schema=quote(name), table=quote(table)) for table, kind in batch)
        counted.update(zip([table for table, _ in batch], session.rows(f"VALUES ({counts})")[0], strict=True))
    return counted


def sequences_behind(session: Session, name: str, oid: int) -> list[str]:
    """Return the columns whose sequence will give a number that a row has already."""
    behind = []
    for sequence, table, column, sign in session.rows(SEQUENCES, [oid, NUMBERS]):
        names = {"last": "min" if sign < 0 else "max", "column": quote(column), "sequence": sequence}
        if session.value(BEHIND.format(sign=sign, table=f"{quote(name)}.{quote(table)}", **names)):
            behind.append(f"{table}.{column}")
    return behind


def spelling(found: Definitions, name: str) -> list[str]:
    """Return the objects of a copy that hold the source's name in a text: PostgreSQL does not know what it means.

    All else in a copy that leads to the source is a reference, and refused. Function bodies and arguments of triggers
    may put names together. Elsewhere only that counts by which something in the schema is called: the name and a dot.
    """
    # A name without capitals is found however it is spelled: the server folds what is not quoted.
    flags = re.IGNORECASE if name == name.lower() else re.RegexFlag(0)
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", flags)
    path = re.compile(rf"{word.pattern}\"?\s*\.", flags)
    spelled = []
    for (kind, called), lines in found.items():
        text = "\n".join(lines)
        strings = LITERAL.findall(text) if kind != "COMMENT" else []
        # The last line says who owns it.
        body = text.partition(BODY)[2].rpartition("\n")[0] if kind in {"FUNCTION", "PROCEDURE"} else ""
        bare = [body, *(strings if kind == "TRIGGER" else [])]
        if any(path.search(each) for each in strings) or any(word.search(each) for each in bare):
            spelled.append(f"{kind.lower()} {called}")
    return sorted(spelled)
