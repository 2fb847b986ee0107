"""What does django-health-check report of the clusters? What the view `health` says, as one of its checks."""

from __future__ import annotations

from dataclasses import dataclass

from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

from django_gmf_router.views.conditions import Level, Status, conditions, overall


@dataclass
class Clusters(HealthCheck):
    """The clusters of GMF_ROUTER: a warning where they are degraded, unavailable where no node answers.

    `max_level`: 1 may this web server take requests; 2 every node, and the migrations that it has replayed.
    """

    max_level: int = Level.SERVING

    # Async, so that it needs no thread: it waits for nothing.
    async def run(self) -> None:
        """Raise what says which conditions are not ok; by their states, without servers and errors."""
        found = conditions(self.max_level)
        status = overall(found)
        if status == Status.OK:
            return
        kind = ServiceUnavailable if status == Status.DOWN else ServiceWarning
        raise kind(", ".join(f"{each.name} {each.state or each.status}" for each in found if each.status != Status.OK))
