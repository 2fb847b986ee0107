"""What does a layer of MapServer include to be drawn from the replicas?"""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.services.values import HEADER, ServedCluster, Wanted, comment


def render(clusters: Sequence[ServedCluster], wanted: Wanted) -> str:  # noqa: ARG001  as the others
    """Return lines for a LAYER. Raises ImproperlyConfigured for several clusters: a layer has one connection."""
    if len(clusters) > 1:
        names = ", ".join(cluster.alias for cluster in clusters)
        raise ImproperlyConfigured(
            f"A layer of MapServer reads from one cluster, and there are {names}: say --database."
        )
    service = clusters[0].reading
    head = [
        *(line.format("mapserver") for line in HEADER),
        "In the LAYER: INCLUDE and this file's name; DATA, TYPE and CLASS stay in the layer. MapServer finds the",
        "service in the file of `manage.py gmf_services pg_service`: set PGSERVICEFILE to its path in the environment",
        "of its process (a CONFIG line of the map file is no environment).",
    ]
    lines = (
        "CONNECTIONTYPE POSTGIS",
        f'CONNECTION "service={service.name}"',
        "# One connection a process, not one a layer and request.",
        'PROCESSING "CLOSE_CONNECTION=DEFER"',
    )
    return comment(head) + "\n".join([*lines, ""])
