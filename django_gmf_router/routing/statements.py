"""Does this SQL statement write, and to which table?

Plainly a read is what begins like one and holds no data-modifying keyword. In doubt it is a write: doubt costs one
read of the primary, the other error a stale page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_BEGINNING = r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_VERB = re.compile(_BEGINNING + r"([A-Za-z]+)", re.DOTALL)
_TRANSACTION = frozenset(["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"])
_SESSION = frozenset(["SET", "RESET", "PRAGMA"])
_READS = frozenset(["SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN", "DECLARE", "FETCH", "CLOSE"])
_MODIFIES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|INTO|TRUNCATE|nextval|setval)\b", re.IGNORECASE)
_BY_THE_ORM = re.compile(r"""SELECT (?:DISTINCT )?(?:["`]|COUNT\(|\(?(?:1|%s)\)? AS ["`]a["`])""")
_TABLE = re.compile(
    r"\b(?:INSERT\s+INTO|UPDATE(?:\s+ONLY)?|DELETE\s+FROM(?:\s+ONLY)?|MERGE\s+INTO)\s+"
    r"""(?:["`\w]+\.)?(?:"([^"]+)"|`([^`]+)`|(\w+))""",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What the guard knows of a statement: its verb in capitals ("" unknown), whether it writes, its target table.

    by_hand: a SELECT that does not look like the ORM's own: it may call a function that writes.
    """

    verb: str
    writes: bool
    table: str | None
    by_hand: bool = False


def classify(sql: Any) -> Statement:
    """Return what `sql` does; composed SQL and bytes, whose text only the driver knows, count as unknown writes."""
    return _classify(sql) if isinstance(sql, str) else Statement(verb="", writes=True, table=None)


@lru_cache(maxsize=2048)
def _classify(sql: str) -> Statement:
    found = _VERB.match(sql)
    verb = found[1].upper() if found else ""
    if verb in _TRANSACTION | _SESSION or (verb in _READS and not _MODIFIES.search(sql)):
        return Statement(verb=verb, writes=False, table=None, by_hand=verb in _READS and not _BY_THE_ORM.match(sql))
    target = _TABLE.search(sql)
    return Statement(verb=verb, writes=True, table=target and (target[1] or target[2] or target[3]))
