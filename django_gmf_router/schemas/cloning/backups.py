"""Which schemas stand beside a target: the copy being built, and those that it replaced?"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres.names import MAX_BYTES, quote
from django_gmf_router.schemas.cloning import catalog, foreign_keys
from django_gmf_router.schemas.cloning.session import Session

NEW = "__new"
STAMP = "%Y%m%d_%H%M%S"
STAMPED = re.compile(r"\d{8}_\d{6}\Z")
MARK = "Being built by clone_schema; the next run removes it."
"""The comment of a copy until it has its name."""


def beside(target: str, suffix: str) -> str:
    """Return `target` with a suffix; where that is too long, a part of it stands for the whole, always the same."""
    if len((target + suffix).encode()) <= MAX_BYTES:
        return target + suffix
    digest = "~" + hashlib.sha256(target.encode()).hexdigest()[:8]
    room = MAX_BYTES - len((digest + suffix).encode())
    return target.encode()[:room].decode(errors="ignore") + digest + suffix


def backups(session: Session, target: str) -> list[str]:
    """Return the schemas that a target's clones replaced, the newest first."""
    names = session.column("SELECT nspname FROM pg_namespace")
    stamps = (name[-15:] for name in names if STAMPED.search(name) and beside(target, f"_{name[-15:]}") == name)
    return [beside(target, f"_{stamp}") for stamp in sorted(stamps, reverse=True)]


def next_backup(session: Session, target: str) -> str:
    """Return the name for the schema that is replaced now; by the server's clock, later than all before."""
    now = session.value("SELECT date_trunc('second', now() AT TIME ZONE 'UTC')")
    for name in backups(session, target)[:1]:
        now = max(now, _when(name) + timedelta(seconds=1))
    return beside(target, f"_{now:{STAMP}}")


def _when(name: str) -> datetime:
    try:
        return datetime.strptime(name[-15:], STAMP)  # noqa: DTZ007  (the name holds no zone)
    except ValueError:
        return datetime.min  # noqa: DTZ901


def leftover(session: Session, name: str) -> int | None:
    """Return the oid of a copy that a killed run left, None without one; raise CloneRefused for a stranger."""
    oid = catalog.schema_oid(session, name)
    if oid is None or catalog.schema_comment(session, oid) == MARK or catalog.is_empty(session, oid):
        return oid
    raise CloneRefused(f"The schema {name!r} was not left by clone_schema, which needs its name: rename or drop it.")


def remove(session: Session, name: str) -> None:
    """Drop a schema and all that is in it, without locking a table outside for long."""
    oid = catalog.schema_oid(session, name)
    if oid is not None:
        foreign_keys.drop_all(session, name, oid)
        session.change(f"drop the schema {name!r}", lambda: session.run(f"DROP SCHEMA {quote(name)} CASCADE"))


def prune(session: Session, target: str, keep: int) -> tuple[list[str], list[str]]:
    """Drop the backups but the newest; return the dropped ones, and why others stayed."""
    dropped, stayed = [], []
    for name in backups(session, target)[keep:]:
        oid = catalog.schema_oid(session, name)
        held = catalog.outsiders(session, oid) if oid is not None else []
        if held:
            stayed.append(f"{name} stays: outside it depend on it {', '.join(held)}")
            continue
        try:
            remove(session, name)
        except CloneRefused as error:
            stayed.append(f"{name} stays: {error}")
        else:
            dropped.append(name)
    return dropped, stayed
