"""What does django-health-check report of the clusters? What the view `health` says, as one of its checks."""

from __future__ import annotations

from dataclasses import dataclass

from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

from django_gmf_router.views.health import Level, Status, conditions, overall


@dataclass
class Clusters(HealthCheck):  # type: ignore[misc]
    """The clusters of GMF_ROUTER.

    `max_level`: 1 unavailable where no node answers; 2 also a warning where a node, or what it replayed, is not ok.
    """

    max_level: int = Level.SERVING

    # Async, so that it needs no thread: it waits for nothing.
    async def run(self) -> None:
        """Raise what names the conditions that are not ok, and their states; no server, and no error."""
        found = conditions(self.max_level)
        status = overall(found)
        said = ", ".join(f"{each.name} {each.state or each.status}" for each in found if each.status != Status.OK)
        if status == Status.DOWN:
            raise ServiceUnavailable(said)
        # The library's view answers 500 for a warning, too: a load balancer must not see one of a dead primary.
        if status == Status.DEGRADED and self.max_level > Level.SERVING:
            raise ServiceWarning(said)
