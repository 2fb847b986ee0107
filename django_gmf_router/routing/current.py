"""What was decided last, here?"""

from __future__ import annotations

from django_gmf_router.decision import Decision
from django_gmf_router.routing.unit_of_work import current_place, open_unit


def current_decision() -> Decision | None:
    """Return the decision of the last read of this unit of work; None before the first read and outside of any."""
    unit = open_unit()
    if unit is None and (blocks := current_place.get().blocks):
        unit = blocks[-1].unit
    return None if unit is None else unit.decision
