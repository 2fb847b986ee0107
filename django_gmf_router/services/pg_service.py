"""How does a connection service file name the services?"""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.services import conninfo
from django_gmf_router.services.values import HEADER, ServedCluster, Service, Wanted, comment

LONGEST_LINE = {True: 1000, False: 250}
"""libpq reads lines into a buffer: 1024 bytes from 14 on, 256 before (fe-connect.c, parseServiceFile)."""


def render(clusters: Sequence[ServedCluster], wanted: Wanted) -> str:
    """Return the file; values stand as they are, to the end of their line (manual, "The Connection Service File")."""
    services = [service for cluster in clusters for service in cluster.services]
    names = ", ".join(f"service={service.name}" for service in services)
    head = [
        *(line.format("pg_service") for line in HEADER),
        f"Used as {names}, with PGSERVICEFILE set to this file's path.",
        *conninfo.notes(services, wanted),
    ]
    return "\n".join([comment(head), *(_section(service, wanted) for service in services)])


def _section(service: Service, wanted: Wanted) -> str:
    lines = [f"{key}={value}" for key, value in conninfo.keywords(service, wanted).items()]
    longest = LONGEST_LINE[wanted.libpq >= conninfo.PREFER_STANDBY_SINCE]
    for line in lines:
        if len(line.encode()) > longest:
            key = line.partition("=")[0]
            raise ImproperlyConfigured(
                f"{key} of {service.name} is longer than the {longest} bytes that a service file's line may have: "
                "name fewer nodes, or use a DNS name with several addresses."
            )
    return "\n".join([f"[{service.name}]", *lines, ""])
