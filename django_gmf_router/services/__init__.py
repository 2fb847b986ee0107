"""Which configuration do the other services need to use the same databases?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django_gmf_router.services import haproxy, libpq_clients, map_servers, pgbouncer
from django_gmf_router.services.served_clusters import ServedCluster
from django_gmf_router.services.service_options import ServiceOptions

FORMATS: dict[str, Callable[[Sequence[ServedCluster], ServiceOptions], str]] = {
    "pg_service": libpq_clients.pg_service,
    "libpq": libpq_clients.connection_strings,
    "haproxy": haproxy.configuration,
    "mapserver": libpq_clients.mapserver_layer,
    "pgbouncer": pgbouncer.configuration,
    "martin": map_servers.martin,
    "tipg": map_servers.tipg,
    "pygeoapi": map_servers.pygeoapi,
    "qgis": map_servers.qgis,
}
