"""Which connection strings lead to the services?"""

from __future__ import annotations

from collections.abc import Sequence

from django_gmf_router.services import conninfo
from django_gmf_router.services.values import HEADER, ServedCluster, Wanted, comment


def render(clusters: Sequence[ServedCluster], wanted: Wanted) -> str:
    """Return one line a service, under its name."""
    services = [service for cluster in clusters for service in cluster.services]
    head = [*(line.format("libpq") for line in HEADER), *conninfo.notes(services, wanted)]
    lines = (f"\n# {each.name}\n{conninfo.text(conninfo.keywords(each, wanted))}\n" for each in services)
    return comment(head) + "".join(lines)
