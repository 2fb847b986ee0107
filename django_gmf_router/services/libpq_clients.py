"""How do clients that speak libpq name a service: by a service file, a connection string, a layer of MapServer?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.postgres.libpq import DEFAULT_SOCKET_DIRECTORIES, KEYWORDS_SINCE, PREFER_STANDBY_SINCE
from django_gmf_router.services.served_clusters import ServedCluster, Service
from django_gmf_router.services.service_options import ServiceOptions, heading

LOAD_BALANCE_SINCE = KEYWORDS_SINCE["load_balance_hosts"]
LONGEST_LINE = {True: 1000, False: 250}
"""libpq reads lines into a buffer: 1024 bytes from 14 on, 256 before (fe-connect.c, parseServiceFile)."""


def pg_service(clusters: Sequence[ServedCluster], options: ServiceOptions) -> str:
    """Return a service file; values stand as they are up to the line's end (manual, "The Connection Service File")."""
    services = [service for cluster in clusters for service in cluster.services]
    names = ", ".join(f"service={service.name}" for service in services)
    head = heading(
        "pg_service", f"Used as {names}, with PGSERVICEFILE set to this file's path.", *_notes(services, options)
    )
    return "\n".join([head, *(_section(service, options) for service in services)])


def connection_strings(clusters: Sequence[ServedCluster], options: ServiceOptions) -> str:
    """Return one line a service, under its name."""
    services = [service for cluster in clusters for service in cluster.services]
    lines = (f"\n# {each.name}\n{connection_string(keywords(each, options))}\n" for each in services)
    return heading("libpq", *_notes(services, options)) + "".join(lines)


def mapserver_layer(clusters: Sequence[ServedCluster], options: ServiceOptions) -> str:  # noqa: ARG001  as the others
    """Return lines for a LAYER. Raise ImproperlyConfigured for several clusters: a layer has one connection."""
    if len(clusters) > 1:
        names = ", ".join(cluster.alias for cluster in clusters)
        raise ImproperlyConfigured(
            f"A layer of MapServer reads from one cluster, and there are {names}: say --database."
        )
    head = heading(
        "mapserver",
        "In the LAYER: INCLUDE and this file's name; DATA, TYPE and CLASS stay in the layer. MapServer finds the",
        "service in the file of `manage.py gmf_services pg_service`: set PGSERVICEFILE to its path in the environment",
        "of its process (a CONFIG line of the map file is no environment).",
    )
    return f"""{head}CONNECTIONTYPE POSTGIS
CONNECTION "service={clusters[0].reading.name}"
# One connection a process, not one a layer and request.
PROCESSING "CLOSE_CONNECTION=DEFER"
"""


def keywords(service: Service, options: ServiceOptions) -> dict[str, str]:
    """Return the keywords of a service in the order in which they are written.

    Raise ImproperlyConfigured for one that the services' libpq does not know: it would refuse the whole service.
    """
    login = service.login
    for key in login.parameters:
        if (since := KEYWORDS_SINCE.get(key, 0)) > options.libpq:
            raise ImproperlyConfigured(
                f"OPTIONS[{key!r}] of {service.name} is for libpq {since} or later: "
                f"say --libpq {since} if the services have it, or remove it."
            )
    found = {
        "host": ",".join(node.host for node in service.nodes),
        "port": ",".join(str(node.port) for node in service.nodes),
        "dbname": login.dbname,
        "user": login.user,
        **login.parameters,
        "options": login.options,
    }
    if service.role == "primary":
        found["target_session_attrs"] = "read-write"
    else:
        # An older libpq knows no roles: the order alone puts the primary last.
        found["target_session_attrs"] = "prefer-standby" if options.libpq >= PREFER_STANDBY_SINCE else "any"
        if options.libpq >= LOAD_BALANCE_SINCE:
            found["load_balance_hosts"] = "random"
    if options.passfile:
        found["passfile"] = options.passfile
    return {key: value for key, value in found.items() if value}


def connection_string(pairs: Mapping[str, str]) -> str:
    """Return a connection string (manual, section "Keyword/Value Connection Strings").

    The drivers' own functions refuse keywords that are newer than their libpq; the services' may know them.
    """
    return " ".join(
        f"{key}={value}" if re.fullmatch(r"[^\s'\\]+", value) else f"{key}='" + re.sub(r"(['\\])", r"\\\1", value) + "'"
        for key, value in pairs.items()
    )


def _section(service: Service, options: ServiceOptions) -> str:
    lines = [f"{key}={value}" for key, value in keywords(service, options).items()]
    longest = LONGEST_LINE[options.libpq >= PREFER_STANDBY_SINCE]
    for line in lines:
        if len(line.encode()) > longest:
            raise ImproperlyConfigured(
                f"{line.partition('=')[0]} of {service.name} is longer than the {longest} bytes that a service file's "
                "line may have: name fewer nodes, or use a DNS name with several addresses."
            )
    return "\n".join([f"[{service.name}]", *lines, ""])


def _notes(services: list[Service], options: ServiceOptions) -> Iterator[str]:
    """Yield what the operator has to know: about the order of the nodes, and about passwords."""
    if options.libpq >= LOAD_BALANCE_SINCE:
        yield f"For libpq {options.libpq} or later: each connection of a read service has its own order of replicas."
    else:
        yield f"For libpq {options.libpq} or later. Replicas stand in a random order, made when this was written:"
        yield "write it for each machine anew. Where libpq is 16 or later, --libpq 16 adds load_balance_hosts=random,"
        yield "an order of its own for each connection; an older libpq refuses that keyword."
    yield "Passwords stand in a passfile (passfile=, PGPASSFILE or ~/.pgpass, mode 0600), one line each:"
    yield from (f"  {line}" for line in sorted({line for service in services for line in _passfile_lines(service)}))


def _passfile_lines(service: Service) -> Iterator[str]:
    for node in service.nodes:
        # libpq looks for "localhost" where the socket is in the directory that it was built with (manual, "The Password
        # File"), and for the directory in all others: which one is the default is known on the service's machine alone.
        for host in (node.host, "localhost") if node.host in DEFAULT_SOCKET_DIRECTORIES else (node.host,):
            fields = (host, str(node.port), service.login.dbname, service.login.user or "*")
            yield ":".join(re.sub(r"([\\:])", r"\\\1", each) for each in fields) + ":<password>"
