"""Which databases does PgBouncer offer, and what has to be set on the server since it hands on no options?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.postgres.names import quote, search_path
from django_gmf_router.services.served_clusters import ServedCluster, ServedNode
from django_gmf_router.services.service_options import ServiceOptions, heading

PORT = 6432
_TLS = {
    "sslmode": "server_tls_sslmode",
    "sslrootcert": "server_tls_ca_file",
    "sslcert": "server_tls_cert_file",
    "sslkey": "server_tls_key_file",
    "connect_timeout": "server_connect_timeout",
}


def configuration(clusters: Sequence[ServedCluster], options: ServiceOptions) -> str:
    """Return the whole file."""
    head = heading(
        "pgbouncer",
        'Passwords stand in auth_file, one line a role: "role" "password or SCRAM secret"; mode 0600.',
        "PgBouncer hands on no `options`. Once, on each primary:",
        *(f"  {statement}" for cluster in clusters for statement in _statements(cluster)),
        mark=";",
    )
    databases = [line for cluster in clusters for line in _databases(cluster)]
    settings = [f"{key} = {value}" for key, value in _settings(clusters, options).items()]
    return "\n".join([head, "[databases]", *databases, "", "[pgbouncer]", *settings, ""])


def _databases(cluster: ServedCluster) -> Iterator[str]:
    """Yield the services, then each alias of Django under its own name: a node that keeps its identity."""
    reading, writing = cluster.services
    yield _entry(writing.name, _only(cluster), writing.login.dbname)
    replicas = [node for node in reading.nodes if node.role == "replica"] or list(cluster.primaries)
    listed = [node for node in replicas if node.port == replicas[0].port]
    if len(listed) < len(replicas):
        yield f"; A list of hosts has one port: {reading.name} leaves out replicas that are not on {listed[0].port}."
        yield "; HAProxy in front of them (gmf_services haproxy) spreads over all."
    yield _entry(reading.name, listed, reading.login.dbname)
    yield "; For Django, HOST and PORT of PgBouncer, and as NAME:"
    for node in (*cluster.primaries, *cluster.replicas):
        service = reading if node.role == "replica" else writing
        yield _entry(node.name, [node], service.login.dbname)


def _only(cluster: ServedCluster) -> list[ServedNode]:
    if len(cluster.primaries) > 1:
        raise ImproperlyConfigured(
            f"DATABASES[{cluster.alias!r}] has several hosts, and PgBouncer cannot tell which is the primary: "
            "name HAProxy's port as its HOST and PORT."
        )
    return list(cluster.primaries)


def _entry(name: str, nodes: Sequence[ServedNode], dbname: str) -> str:
    hosts = ",".join(node.host for node in nodes)
    return f"{_key(name)} = host={hosts} port={nodes[0].port} dbname={_value(dbname)}"


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() else f'"{name}"'


def _value(text: str) -> str:
    return text if text.replace("_", "").isalnum() else "'" + text.replace("'", "''") + "'"


def _statements(cluster: ServedCluster) -> Iterator[str]:
    """Yield what replaces the options of the sessions.

    A setting of a role holds on all nodes: read-only only for a role that the primary's alias does not use.
    """
    reading, writing = cluster.services
    path = search_path(*cluster.search_path)
    if path:
        for user in dict.fromkeys((writing.login.user, reading.login.user)):
            yield f"{_alter(user, writing.login.dbname)} SET search_path = {path};"
    if reading.login.user != writing.login.user:
        yield f"{_alter(reading.login.user, reading.login.dbname)} SET default_transaction_read_only = on;"
    else:
        yield f"(Not default_transaction_read_only: {writing.login.user} writes, too. Another USER for the replicas'"
        yield "aliases can have it.)"


def _alter(user: str, dbname: str) -> str:
    return f"ALTER ROLE {quote(user) if user else '<role>'} IN DATABASE {quote(dbname)}"


def _settings(clusters: Sequence[ServedCluster], options: ServiceOptions) -> Mapping[str, object]:
    return {
        "listen_addr": options.listen,
        "listen_port": options.port or PORT,
        "auth_type": "scram-sha-256",
        "auth_file": options.userlist,
        "pool_mode": "session",
        "max_client_conn": 1000,
        "default_pool_size": 20,
        # A node that is back takes connections after a second, not after 15.
        "server_login_retry": 1,
        # Drivers send these; PgBouncer before 1.20 would refuse the connection for the second.
        "ignore_startup_parameters": "extra_float_digits,options",
        **_transport(clusters),
    }


def _transport(clusters: Sequence[ServedCluster]) -> dict[str, str]:
    found: dict[str, str] = {}
    for service in (service for cluster in clusters for service in cluster.services):
        for key, name in _TLS.items():
            value = service.login.parameters.get(key, "")
            if found.setdefault(name, value) != value:
                raise ImproperlyConfigured(
                    f"OPTIONS[{key!r}] of {service.name} differs from another's: PgBouncer has one {name}; "
                    "make them equal, or write a file each with --database."
                )
    return {name: value for name, value in found.items() if value}
