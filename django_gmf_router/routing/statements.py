"""Does this SQL statement write, and to which tables?

Plainly a read is what begins like one and holds no data-modifying keyword. In doubt it is a write: doubt costs one
read of the primary, the other error a stale page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

# One way to read each text: a comment ends at its first end, so that nothing is tried twice.
_BEGINNING = r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)*"
_VERB = re.compile(_BEGINNING + r"([A-Za-z]+)")
_CONTROL = frozenset(["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"])
_SESSION = frozenset(["SET", "RESET", "PRAGMA"])
_READS = frozenset(["SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN", "DECLARE", "FETCH", "CLOSE"])
DML = frozenset(["INSERT", "UPDATE", "DELETE", "MERGE"])
# A file of SQL has several statements in one text: the words count whatever it begins with.
_MODIFIES = re.compile(
    r"\b(?:INSERT|UPDATE|DELETE|MERGE|INTO|TRUNCATE|CALL|CREATE|ALTER|DROP|nextval|setval)\b", re.IGNORECASE
)
# Names in quotes are no keywords. Where a literal or a comment may hold a quote nobody can tell by such means.
_QUOTED_NAME = re.compile(r'"[^"]*"')
_MAY_HOLD_QUOTES = re.compile(r"['$]|--|/\*")
_BY_THE_ORM = re.compile(r"""SELECT (?:DISTINCT )?(?:["`]|COUNT\(|\(?(?:1|%s)\)? AS ["`]a["`])""")
_TARGET = re.compile(
    r"\b(?:INSERT\s+INTO|UPDATE(?!\s+(?:SET|OF)\b)(?:\s+ONLY)?|DELETE\s+FROM(?:\s+ONLY)?|MERGE\s+INTO)\s+"
    r"""(?:["`\w]+\.)?(?:"([^"]+)"|`([^`]+)`|(\w+))""",
    re.IGNORECASE,
)
LONGEST_KEPT = 4096
"""Characters of a text whose classification is kept: imports spell their rows in texts of megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is known of a statement by its text."""

    verb: str = ""
    """In capitals; "" where there is none."""
    writes: bool = True
    tables: tuple[str, ...] = ()
    """The tables that it names as targets."""
    alone: bool = False
    """Whether its text is one statement that inserts, updates, deletes or merges, and does nothing else."""
    by_hand: bool = False
    """Whether it is a SELECT that does not look like the ORM's own: it may call a function that writes."""


def classify(sql: object) -> Statement:
    """Return what `sql` does; composed SQL and bytes, whose text only the driver knows, count as unknown writes."""
    if not isinstance(sql, str):
        return Statement()
    return _classify(sql) if len(sql) > LONGEST_KEPT else _kept(sql)


def _classify(sql: str) -> Statement:
    found = _VERB.match(sql)
    verb = found[1].upper() if found else ""
    searched = sql if _MAY_HOLD_QUOTES.search(sql) else _QUOTED_NAME.sub("", sql)
    if verb in _CONTROL | _SESSION | _READS and not _MODIFIES.search(searched):
        return Statement(verb=verb, writes=False, by_hand=verb in _READS and not _BY_THE_ORM.match(sql))
    tables = tuple(first or second or third for first, second, third in _TARGET.findall(sql))
    return Statement(verb=verb, tables=tables, alone=verb in DML and ";" not in sql)


_kept = lru_cache(maxsize=2048)(_classify)
