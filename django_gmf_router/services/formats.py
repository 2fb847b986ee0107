"""Which formats are there?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django_gmf_router.services import haproxy, libpq, mapserver, pg_service, pgbouncer
from django_gmf_router.services.values import ServedCluster, Wanted

FORMATS: dict[str, Callable[[Sequence[ServedCluster], Wanted], str]] = {
    "pg_service": pg_service.render,
    "libpq": libpq.render,
    "haproxy": haproxy.render,
    "mapserver": mapserver.render,
    "pgbouncer": pgbouncer.render,
}
