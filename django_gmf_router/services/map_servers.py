"""How do the map servers beside MapServer get to a cluster: Martin, tipg, pygeoapi, QGIS Server?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, urlencode
from xml.sax.saxutils import quoteattr

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.services import libpq_clients
from django_gmf_router.services.served_clusters import ServedCluster, Service
from django_gmf_router.services.service_options import ServiceOptions, heading

PASSWORD = "PGPASSWORD"  # noqa: S105  the name of a variable
WITHOUT_LIBPQ = frozenset({"martin", "tipg"})
"""The formats of services with a driver of their own: it tries hosts in the order in which they are written."""

# What the drivers know of libpq's keywords; any other is an error to them.
_TOKIO_POSTGRES = {"sslmode", "channel_binding", "connect_timeout", "tcp_user_timeout"}
_TOKIO_POSTGRES |= {"keepalives", "keepalives_idle", "keepalives_interval"}
_ASYNCPG = {"sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "passfile", "krbsrvname"}
_ASYNCPG |= {"ssl_min_protocol_version", "ssl_max_protocol_version"}
_MARTINS_CERTIFICATES = {"sslcert": "ssl_cert", "sslkey": "ssl_key", "sslrootcert": "ssl_root_cert"}


def martin(clusters: Sequence[ServedCluster], options: ServiceOptions) -> str:  # noqa: ARG001  as the others
    """Return the part `postgres` of Martin's configuration, which reads from each cluster."""
    head = heading(
        "martin",
        "Replicas stand in a random order, made when this was written, the primary last: a connection goes to the",
        "first that answers (Martin does not balance, maplibre/martin#1289). Write it for each machine anew.",
        f"Martin reads no passfile: set {PASSWORD} in its environment, percent-encoded.",
        *_left_out([cluster.reading for cluster in clusters], {*_TOKIO_POSTGRES, *_MARTINS_CERTIFICATES}, "Martin"),
    )
    lines = [line for cluster in clusters for line in _martins_source(cluster.reading)]
    return head + "".join(f"{line}\n" for line in ("postgres:", *lines))


def _martins_source(service: Service) -> Iterator[str]:
    parameters = {key: value for key, value in service.login.parameters.items() if key in _TOKIO_POSTGRES}
    address = _url(service, {**parameters, "options": service.login.options}, password=f"${{{PASSWORD}}}")
    yield f"  - connection_string: {json.dumps(address)}"
    certificates = {
        _MARTINS_CERTIFICATES[key]: value
        for key, value in service.login.parameters.items()
        if key in _MARTINS_CERTIFICATES
    }
    if certificates:
        yield "    ssl_certificates:"
        yield from (f"      {key}: {json.dumps(value)}" for key, value in certificates.items())


def tipg(clusters: Sequence[ServedCluster], options: ServiceOptions) -> str:
    """Return tipg's `.env`. Raise ImproperlyConfigured for several clusters: it has one database."""
    cluster = _only(clusters, "tipg")
    service = cluster.writing
    parameters = {key: value for key, value in service.login.parameters.items() if key in _ASYNCPG}
    if options.passfile:
        parameters["passfile"] = options.passfile
    head = heading(
        "tipg",
        "tipg makes functions of its own in each session, which a standby refuses: it reads from the node that takes",
        "writes, and finds the new one after an election. The password stands in a passfile (PGPASSFILE or ~/.pgpass,",
        "mode 0600).",
        *_left_out([service], _ASYNCPG, "tipg"),
    )
    wanted = {**parameters, "options": service.login.options, "target_session_attrs": "read-write"}
    text = f"{head}DATABASE_URL={_url(service, wanted)}\n"
    return text + (f"TIPG_DB_SCHEMAS={json.dumps(cluster.search_path)}\n" if cluster.search_path else "")


def pygeoapi(clusters: Sequence[ServedCluster], options: ServiceOptions) -> str:
    """Return lines for a provider of pygeoapi.

    Raise ImproperlyConfigured for several clusters, since it has one, and for several ports, since it takes one.
    """
    cluster = _only(clusters, "A provider of pygeoapi")
    ports = sorted({node.port for node in cluster.reading.nodes})
    if len(ports) > 1:
        raise ImproperlyConfigured(
            f"pygeoapi takes one port for all nodes, and those of {cluster.alias!r} are {', '.join(map(str, ports))}: "
            "let it connect to the second port of gmf_services haproxy."
        )
    pairs = libpq_clients.keywords(cluster.reading, options)
    data = {
        "host": pairs.pop("host"),
        "port": int(pairs.pop("port").partition(",")[0]),
        "dbname": pairs.pop("dbname"),
        "user": pairs.pop("user", ""),
        "search_path": list(cluster.search_path or ("public",)),
    }
    head = heading(
        "pygeoapi",
        "In a provider with `name: PostgreSQL`, beside id_field, table and geom_field. pygeoapi looks for the table in",
        "the first schema of search_path. The password stands in a passfile (PGPASSFILE or ~/.pgpass, mode 0600).",
    )
    given = {key: value for key, value in data.items() if value}
    return head + _yaml_section("data", given) + _yaml_section("options", pairs)


def qgis(clusters: Sequence[ServedCluster], options: ServiceOptions) -> str:  # noqa: ARG001  as the others
    """Return the connections of a project's author, for "Load connections" of QGIS; its layers name the service."""
    services = [service for cluster in clusters for service in cluster.services]
    notes = heading(
        "qgis",
        "Load it where projects are made: Data Source Manager, PostgreSQL, Load. The layers then say service=...,",
        "and QGIS Server finds it in the file of `manage.py gmf_services pg_service`: set PGSERVICEFILE to its path in",
        "the environment of its processes, and PGPASSFILE. Layers that WFS-T edits take the second one.",
        mark=" ",
    )
    rows = "".join(
        f"    <postgis name={quoteattr(service.name)} service={quoteattr(service.name)} "
        'host="" port="" database="" sslmode="SslPrefer" estimatedMetadata="true" saveUsername="false" '
        'savePassword="false"/>\n'
        for service in services
    )
    return f'<!DOCTYPE connections>\n<!--\n{notes}-->\n<qgsPgConnections version="1.0">\n{rows}</qgsPgConnections>\n'


def _only(clusters: Sequence[ServedCluster], who: str) -> ServedCluster:
    if len(clusters) > 1:
        names = ", ".join(cluster.alias for cluster in clusters)
        raise ImproperlyConfigured(f"{who} reads from one cluster, and there are {names}: say --database.")
    return clusters[0]


def _left_out(services: Sequence[Service], known: set[str], who: str) -> Iterator[str]:
    """Yield what the operator has to know of OPTIONS that a driver would refuse."""
    unknown = sorted({key for service in services for key in service.login.parameters} - known)
    if unknown:
        yield f"Left out, since {who} does not know it: {', '.join(unknown)}."


def _url(service: Service, parameters: Mapping[str, str], password: str = "") -> str:
    """Return the connection string as a URL (manual, section "Connection URIs"); `password` stands as it is."""
    login = service.login
    user = quote(login.user, safe="") + (f":{password}" if password else "")
    hosts = ",".join(f"{_host(node.host)}:{node.port}" for node in service.nodes)
    query = urlencode({key: value for key, value in parameters.items() if value}, quote_via=quote)
    return f"postgresql://{user}@{hosts}/{quote(login.dbname, safe='')}" + (f"?{query}" if query else "")


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="")


def _yaml_section(name: str, values: Mapping[str, object]) -> str:
    # What JSON writes of a text, a number or a list is YAML, too.
    return f"{name}:\n" + "".join(f"  {key}: {json.dumps(value)}\n" for key, value in values.items())
