"""Which schema names are sound, and how are they written in SQL?"""

from __future__ import annotations

MAX_BYTES = 63
"""PostgreSQL cuts longer identifiers (NAMEDATALEN - 1)."""
SYSTEM_PREFIX = "pg_"
# "$user" stands for the role's name in a search_path, quoted or not.
RESERVED = {"information_schema", "$user"}


def problem(name: object) -> str | None:
    """Return one line that says why `name` cannot be the name of a schema, None for a sound one.

    Capitals, quotes, dots, spaces and reserved words are sound: `quote` writes them right.
    """
    if not isinstance(name, str) or not name:
        return f"{name!r} is no schema name: write one of 1 to {MAX_BYTES} bytes."
    if not name.isprintable():
        return f"The schema name {name!r} holds a character that cannot be printed: leave it out."
    size = len(name.encode())
    if size > MAX_BYTES:
        return f"The schema name {name!r} has {size} bytes, PostgreSQL takes {MAX_BYTES}: choose a shorter one."
    if name.startswith(SYSTEM_PREFIX) or name in RESERVED:
        return f"The schema name {name!r} belongs to PostgreSQL itself: choose another one."
    return None


def quote(name: str) -> str:
    """Return `name` as SQL reads it: quoted, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def search_path(*names: str) -> str:
    """Return the value of a search_path, each schema once, in this order."""
    return ", ".join(quote(name) for name in dict.fromkeys(names))
