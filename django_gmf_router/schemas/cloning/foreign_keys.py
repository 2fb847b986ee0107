"""How do the foreign keys that leave a schema come and go without anybody waiting for them?

Each one locks the table it refers to, where others write: so each has a transaction of its own, which gives up soon.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from django.db import DatabaseError, IntegrityError, OperationalError

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres.names import quote
from django_gmf_router.schemas.session import Session, literal

# Those of partitions first: the key of a partitioned table then takes theirs over and need not look at a row. What a
# partitioned table on the other side adds for each of its partitions comes by itself. NOT ENFORCED came with 18.
KEYS = """
WITH RECURSIVE keys AS (
    SELECT k.*, 0 AS depth FROM pg_constraint k WHERE k.conparentid = 0
  UNION ALL
    SELECT k.*, keys.depth + 1 FROM pg_constraint k JOIN keys ON k.conparentid = keys.oid
    WHERE k.conrelid <> keys.conrelid
)
SELECT k.oid::bigint, c.relname, k.conname, pg_get_constraintdef(k.oid), k.confrelid::regclass::text, c.relkind = 'p',
       k.convalidated, obj_description(k.oid, 'pg_constraint'), coalesce(to_jsonb(k)->>'conenforced', 'true')::bool
FROM keys k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid
WHERE k.contype = 'f' AND c.relnamespace = %(oid)s AND r.relnamespace <> c.relnamespace
ORDER BY k.depth DESC, c.relname, k.conname
"""
EXISTS = "SELECT EXISTS (SELECT FROM pg_constraint WHERE oid = %s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """A foreign key from a table of the schema to one outside."""

    oid: int
    table: str
    name: str
    definition: str
    """As `ADD CONSTRAINT` takes it, with the schema of the other table."""
    refers_to: str
    partitioned: bool
    validated: bool
    """False: NOT VALID, so that rows that were there before were never looked at."""
    comment: str | None
    enforced: bool

    def __str__(self) -> str:
        return f"the foreign key {self.name} of {self.table} to {self.refers_to}"

    def archived_as(self) -> str:
        """Return how an archive's table of contents calls its comment, but for quotes."""
        return f"CONSTRAINT {self.name} ON {self.table}".replace('"', "")


def leaving_keys(session: Session, oid: int) -> list[ForeignKey]:
    """Return the foreign keys that leave a schema, in the order in which they can be added."""
    names = [field.name for field in fields(ForeignKey)]
    return [ForeignKey(**dict(zip(names, row, strict=True))) for row in session.rows(KEYS, {"oid": oid})]


def add(session: Session, schema: str, keys: list[ForeignKey]) -> None:
    """Add foreign keys to the tables of a copy and look whether its rows keep them; raise CloneRefused if not."""
    try:
        for key in keys:
            _add(session, schema, key)
    except IntegrityError as error:
        raise CloneRefused(
            f"Rows of {key.table} refer to rows of {key.refers_to} that were deleted while they were copied: try again."
        ) from error


def add_again(session: Session, schema: str, key: ForeignKey) -> str | None:
    """Add to a backup a foreign key that it had; return why it could not be, since the world went on meanwhile."""
    try:
        _add(session, schema, key)
    except IntegrityError:
        missing = "is missing" if key.partitioned else "holds for new rows only"
        return f"{key} {missing}: rows refer to what was deleted since the backup was made"
    except OperationalError:
        # A lost connection, say, which says nothing about the key.
        raise
    except DatabaseError as error:
        return f"{key} is missing: {str(error).partition(chr(10))[0]}"
    return None


def drop_all(session: Session, schema: str, oid: int) -> None:
    """Drop all foreign keys that leave a schema, so that nothing of it holds a row or a table outside."""
    # Those of partitions go with their table's.
    for key in reversed(leaving_keys(session, oid)):
        if session.value(EXISTS, [key.oid]):
            drop = f"ALTER TABLE {quote(schema)}.{quote(key.table)} DROP CONSTRAINT IF EXISTS {quote(key.name)}"
            session.change(f"drop {key}", lambda sql=drop: session.run(sql))  # type: ignore[misc]


def _add(session: Session, schema: str, key: ForeignKey) -> None:
    table, name = f"{quote(schema)}.{quote(key.table)}", quote(key.name)
    # A partitioned table takes no NOT VALID; its partitions have the key already.
    later = key.validated and key.enforced and not key.partitioned
    definition = f"{key.definition} NOT VALID" if later else key.definition
    session.change(f"add {key}", lambda: session.run(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"))
    if later:
        session.change(f"validate {key}", lambda: session.run(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"))
    if key.comment is not None:
        session.run(f"COMMENT ON CONSTRAINT {name} ON {table} IS {literal(key.comment)}")
