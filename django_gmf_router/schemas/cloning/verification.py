"""Is the copy what the snapshot shows of the source, and does it stand by itself?"""

from __future__ import annotations

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.schemas.cloning import catalog, inventory
from django_gmf_router.schemas.cloning.plan import Plan
from django_gmf_router.schemas.cloning.refusals import some
from django_gmf_router.schemas.cloning.sessions import Session


def verify(session: Session, plan: Plan, copy: int, snapshot: Session) -> list[str]:
    """Compare the copy with the source as `snapshot` shows it; return warnings, or raise CloneRefused."""
    _compare_definitions(session, plan, copy, snapshot)
    _compare_rows(session, plan, copy, snapshot)
    if found := catalog.references(session, copy, plan.source_oid):
        raise _different(plan, f"in it {some(found)}")
    behind = inventory.sequences_behind(session, plan.building, copy)
    warnings = []
    if behind:
        at_source = set(inventory.sequences_behind(snapshot, plan.source, plan.source_oid))
        if fresh := [column for column in behind if column not in at_source]:
            raise _different(plan, f"sequences are behind their columns: {some(fresh)}")
        warnings.append(f"sequences are behind their columns, as in {plan.source}: {some(behind)}")
    spelling = inventory.functions_that_spell(session, copy, plan.source)
    warnings += [f"the function {name} spells the name {plan.source}: look what it means" for name in spelling]
    return warnings


def _compare_definitions(session: Session, plan: Plan, copy: int, snapshot: Session) -> None:
    wanted = inventory.of_schema(snapshot, plan.source, plan.source_oid)
    found = inventory.of_schema(session, plan.building, copy)
    if wanted == found:
        return
    different = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    raise _different(plan, f"not the same: {some([' '.join(key) for key in different])}")


def _compare_rows(session: Session, plan: Plan, copy: int, snapshot: Session) -> None:
    wanted = inventory.row_counts(snapshot, plan.source, plan.source_oid)
    found = inventory.row_counts(session, plan.building, copy)
    if wanted != found:
        tables = [f"{name} {found.get(name)} of {rows}" for name, rows in wanted.items() if found.get(name) != rows]
        raise _different(plan, f"rows are missing or too many: {some(tables)}")


def _different(plan: Plan, what: str) -> CloneRefused:
    return CloneRefused(
        f"The copy of {plan.source!r} is not what it should be, {what}. Was the schema changed meanwhile?"
    )
