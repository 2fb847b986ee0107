"""How does a copy take its target's place, in one step?"""

from __future__ import annotations

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres.names import quote
from django_gmf_router.schemas.cloning import backups, catalog, refusals
from django_gmf_router.schemas.cloning.plan import Plan
from django_gmf_router.schemas.cloning.sessions import Session, literal


def swap(session: Session, plan: Plan, backup: str | None) -> None:
    """Let the copy take the target's name, and the target, where there is one, that of a backup."""

    def both() -> None:
        _require(session, plan.target, plan.replaced_oid)
        _step_aside(session, plan.target, plan.replaced_oid, backup)
        session.run(f"COMMENT ON SCHEMA {quote(plan.building)} IS {literal(plan.comment)}")
        session.run(f"ALTER SCHEMA {quote(plan.building)} RENAME TO {quote(plan.target)}")

    session.change(f"rename {plan.building} to {plan.target}", both)


def roll_back(session: Session, target: str) -> tuple[str, str | None]:
    """Swap the newest backup back; return its name, and the one that the target has now, itself a backup."""
    saved, oid = newest_backup(session, target)
    backup = backups.next_backup(session, target) if oid is not None else None

    def both() -> None:
        _require(session, target, oid)
        _step_aside(session, target, oid, backup)
        session.run(f"ALTER SCHEMA {quote(saved)} RENAME TO {quote(target)}")

    session.change(f"rename {saved} to {target}", both)
    return saved, backup


def newest_backup(session: Session, target: str) -> tuple[str, int | None]:
    """Return the backup to swap back, and the oid of the target that stands now; raises CloneRefused."""
    saved = backups.backups(session, target)
    if not saved:
        raise CloneRefused(f"There is no backup of {target!r}: only clone_schema --replace makes one.")
    oid = catalog.schema_oid(session, target)
    if oid is not None:
        refusals.by_target(session, target, oid)
    refusals.by_owner(session, [saved[0], target])
    return saved[0], oid


def _require(session: Session, target: str, oid: int | None) -> None:
    if catalog.schema_oid(session, target) != oid:
        raise CloneRefused(f"Somebody else created, dropped or renamed {target!r} meanwhile: try again.")


def _step_aside(session: Session, target: str, oid: int | None, backup: str | None) -> None:
    if oid is not None and backup is not None:
        # Again, since building took its time.
        refusals.by_target(session, target, oid)
        session.run(f"ALTER SCHEMA {quote(target)} RENAME TO {quote(backup)}")
