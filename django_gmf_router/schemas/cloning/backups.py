"""Which schemas stand beside a target: the copy being built, and those that it replaced?"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres.names import MAX_BYTES, quote
from django_gmf_router.schemas.cloning import catalog, foreign_keys
from django_gmf_router.schemas.cloning.foreign_keys import ForeignKey
from django_gmf_router.schemas.session import Session

NEW = "__new"
STAMP = "%Y%m%d_%H%M%S"
MARK = "Being built by clone_schema; the next run removes it."
"""The comment of a copy until it has its name."""
KEPT = "Kept by clone_schema for --rollback, which needs this comment: "
"""How the comment of a backup begins; what it needs to be what it was follows as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A schema that a clone replaced."""

    name: str
    when: datetime
    comment: str | None
    """Its own, which it gets back with its name."""
    keys: list[ForeignKey]
    """Its foreign keys to tables outside. As a backup it has none: nobody could delete what its rows refer to."""


def beside(target: str, suffix: str) -> str:
    """Return `target` with a suffix; where that is too long, a part of it stands for the whole, always the same."""
    if len((target + suffix).encode()) <= MAX_BYTES:
        return target + suffix
    digest = "~" + hashlib.sha256(target.encode()).hexdigest()[:8]
    room = MAX_BYTES - len((digest + suffix).encode())
    return target.encode()[:room].decode(errors="ignore") + digest + suffix


def comment_of_backup(session: Session, target: str, oid: int) -> str:
    """Return the comment by which the schema that stands now as `target` can come back."""
    keys = [asdict(key) for key in foreign_keys.leaving_keys(session, oid)]
    return KEPT + json.dumps({"target": target, "comment": catalog.schema_comment(session, oid), "keys": keys})


def backups(session: Session, target: str) -> list[Backup]:
    """Return the schemas that a target's clones replaced, the newest first; what has no comment of ours is none."""
    rows = session.rows("SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace")
    found = [_backup(target, name, comment[len(KEPT) :]) for name, comment in rows if (comment or "").startswith(KEPT)]
    return sorted((each for each in found if each), key=lambda backup: backup.when, reverse=True)


def _backup(target: str, name: str, comment: str) -> Backup | None:
    # A comment can be copied and a schema be renamed by hand.
    with suppress(ValueError, KeyError, TypeError):
        said = json.loads(comment)
        when = datetime.strptime(name[-15:], STAMP)  # noqa: DTZ007  (the name holds no zone)
        if said["target"] == target and beside(target, f"_{when:{STAMP}}") == name:
            keys = [ForeignKey(**key) for key in said["keys"]]
            return Backup(name=name, when=when, comment=said["comment"], keys=keys)
    return None


def next_backup(session: Session, target: str) -> str:
    """Return the name for the schema that is replaced now; by the server's clock, later than all before."""
    when = session.value("SELECT date_trunc('second', now() AT TIME ZONE 'UTC')")
    for backup in backups(session, target)[:1]:
        when = max(when, backup.when + timedelta(seconds=1))
    while catalog.schema_oid(session, beside(target, f"_{when:{STAMP}}")) is not None:
        when += timedelta(seconds=1)
    return beside(target, f"_{when:{STAMP}}")


def leftover(session: Session, name: str) -> int | None:
    """Return the oid of a copy that a killed run left, None without one; raise CloneRefused for a stranger."""
    oid = catalog.schema_oid(session, name)
    if oid is None or catalog.schema_comment(session, oid) == MARK:
        return oid
    raise CloneRefused(f"The schema {name!r} was not left by clone_schema, which needs its name: rename or drop it.")


def release(session: Session, target: str) -> list[str]:
    """Drop the foreign keys of a target's backups to tables outside; return why some stayed."""
    stayed = []
    for backup in backups(session, target):
        oid = catalog.schema_oid(session, backup.name)
        try:
            if oid is not None:
                foreign_keys.drop_all(session, backup.name, oid)
        except CloneRefused as error:
            stayed.append(f"rows that {backup.name} refers to cannot be deleted, until the next run: {error}")
    return stayed


def remove(session: Session, name: str) -> None:
    """Drop a schema and all that is in it, without locking a table outside for long."""
    oid = catalog.schema_oid(session, name)
    if oid is not None:
        foreign_keys.drop_all(session, name, oid)
        session.change(f"drop the schema {name!r}", lambda: session.run(f"DROP SCHEMA {quote(name)} CASCADE"))


def prune(session: Session, target: str, keep: int) -> tuple[list[str], list[str]]:
    """Drop the backups but the newest; return the dropped ones, and why others stayed."""
    dropped, stayed = [], []
    for name in [backup.name for backup in backups(session, target)[keep:]]:
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
