"""How do the foreign keys that leave a schema come and go without anybody waiting for them?

Each one locks the table it refers to, where others write: so each has a transaction of its own, which gives up soon.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import IntegrityError

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres.names import quote
from django_gmf_router.schemas.cloning.session import Session, literal

# Those of partitions first: the key of a partitioned table then takes theirs over and need not look at a row. What a
# partitioned table on the other side adds for each of its partitions comes by itself.
KEYS = """
WITH RECURSIVE keys AS (
    SELECT k.*, 0 AS depth FROM pg_constraint k WHERE k.conparentid = 0
  UNION ALL
    SELECT k.*, keys.depth + 1 FROM pg_constraint k JOIN keys ON k.conparentid = keys.oid
    WHERE k.conrelid <> keys.conrelid
)
SELECT k.oid, c.relname, k.conname, pg_get_constraintdef(k.oid), k.confrelid::regclass::text,
       c.relkind = 'p', k.convalidated, obj_description(k.oid, 'pg_constraint'), to_jsonb(k)->>'conenforced'
FROM keys k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid
WHERE k.contype = 'f' AND c.relnamespace = %(oid)s AND r.relnamespace <> c.relnamespace
ORDER BY k.depth DESC, c.relname, k.conname
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """A foreign key from a table of the schema to one outside."""

    oid: int
    table: str
    name: str
    definition: str
    refers_to: str
    partitioned: bool
    validated: bool
    comment: str | None
    enforced: bool

    def __str__(self) -> str:
        return f"the foreign key {self.name} of {self.table} to {self.refers_to}"

    def archived_as(self) -> str:
        """Return how an archive's table of contents calls its comment, but for quotes."""
        return f"CONSTRAINT {self.name} ON {self.table}".replace('"', "")


def outgoing(session: Session, oid: int) -> list[ForeignKey]:
    """Return the foreign keys that leave a schema, in the order in which they can be added."""
    return [
        ForeignKey(
            oid=row[0],
            table=row[1],
            name=row[2],
            definition=row[3],
            refers_to=row[4],
            partitioned=row[5],
            validated=row[6],
            comment=row[7],
            enforced=row[8] != "false",
        )
        for row in session.rows(KEYS, {"oid": oid})
    ]


def add(session: Session, schema: str, keys: list[ForeignKey]) -> None:
    """Add foreign keys to the tables of a copy and look whether its rows keep them; raise CloneRefused if not."""
    for key in keys:
        _add(session, schema, key)


def drop_all(session: Session, schema: str, oid: int) -> None:
    """Drop all foreign keys that leave a schema, so that dropping the schema locks no table outside."""
    # Those of partitions go with their table's.
    for key in reversed(outgoing(session, oid)):
        drop = f"ALTER TABLE {quote(schema)}.{quote(key.table)} DROP CONSTRAINT IF EXISTS {quote(key.name)}"
        exists = "SELECT EXISTS (SELECT FROM pg_constraint WHERE oid = %s)"
        if session.value(exists, [key.oid]):
            session.change(f"drop {key}", lambda sql=drop: session.run(sql))  # type: ignore[misc]


def _add(session: Session, schema: str, key: ForeignKey) -> None:
    table = f"{quote(schema)}.{quote(key.table)}"
    # A partitioned table takes no NOT VALID; its partitions have the key already.
    later = key.validated and key.enforced and not key.partitioned
    definition = f"{key.definition} NOT VALID" if later else key.definition
    session.change(
        f"add {key}", lambda: session.run(f"ALTER TABLE {table} ADD CONSTRAINT {quote(key.name)} {definition}")
    )
    if later:
        _validate(session, table, key)
    if key.comment is not None:
        session.run(f"COMMENT ON CONSTRAINT {quote(key.name)} ON {table} IS {literal(key.comment)}")


def _validate(session: Session, table: str, key: ForeignKey) -> None:
    try:
        sql = f"ALTER TABLE {table} VALIDATE CONSTRAINT {quote(key.name)}"
        session.change(f"validate {key}", lambda: session.run(sql))
    except IntegrityError as error:
        raise CloneRefused(
            f"Rows of {key.table} refer to rows of {key.refers_to} that were deleted while they were copied: try again."
        ) from error
