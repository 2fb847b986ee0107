"""Which databases does PgBouncer offer, and what has to be set on the server since it hands on no options?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.postgres.libpq import parse, settings_in
from django_gmf_router.postgres.names import quote, search_path
from django_gmf_router.services.served_clusters import ServedCluster, ServedNode, Service
from django_gmf_router.services.service_options import ServiceOptions, heading

PORT = 6432
_TLS = {
    "sslmode": "server_tls_sslmode",
    "sslrootcert": "server_tls_ca_file",
    "sslcert": "server_tls_cert_file",
    "sslkey": "server_tls_key_file",
    "connect_timeout": "server_connect_timeout",
}
# Settings that are lists of names: as one string they would be one name (PostgreSQL's guc.h, GUC_LIST_QUOTE).
_LISTS = {"search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"}


def configuration(clusters: Sequence[ServedCluster], options: ServiceOptions) -> str:
    """Return the whole file. Raise ImproperlyConfigured for what PgBouncer cannot do."""
    names = Counter(
        name
        for cluster in clusters
        for name in (cluster.reading.name, cluster.writing.name, *(node.name for node in cluster.nodes))
    )
    for name in (name for name, times in names.items() if times > 1):
        # The second of two lines would count, and the service be a single node.
        raise ImproperlyConfigured(
            f"PgBouncer would have two databases {name!r}, a service and an alias: rename the alias in DATABASES."
        )
    head = heading(
        "pgbouncer",
        'Passwords stand in auth_file, one line a role: "role" "password or SCRAM secret"; mode 0600.',
        "PgBouncer hands on no `options`. Once, on each primary; it holds for every session of the role:",
        *(f"  {statement}" for cluster in clusters for statement in _statements(cluster, own_role=options.own_role)),
        mark=";",
    )
    databases = [line for cluster in clusters for line in _databases(cluster)]
    settings = [f"{key} = {value}" for key, value in _settings(clusters, options).items()]
    return "\n".join([head, "[databases]", *databases, "", "[pgbouncer]", *settings, ""])


def _databases(cluster: ServedCluster) -> Iterator[str]:
    """Yield the services, then each alias of Django under its own name: a node that keeps its identity."""
    if len(cluster.primaries) > 1:
        raise ImproperlyConfigured(
            f"DATABASES[{cluster.alias!r}] has several hosts, and PgBouncer cannot tell which is the primary: "
            "name HAProxy's port as its HOST and PORT."
        )
    reading, writing = cluster.services
    yield _entry(writing.name, cluster.primaries, writing)
    replicas = [node for node in reading.nodes if node.role == "replica"] or list(cluster.primaries)
    listed = [node for node in replicas if node.port == replicas[0].port]
    if len(listed) < len(replicas):
        yield f"; A list of hosts has one port: {reading.name} leaves out replicas that are not on {listed[0].port}."
        yield "; HAProxy in front of them (gmf_services haproxy) spreads over all."
    yield _entry(reading.name, listed, reading)
    yield "; For Django, HOST and PORT of PgBouncer, and as NAME:"
    for node in cluster.nodes:
        yield _entry(node.name, [node], reading if node.role == "replica" else writing)


def _entry(name: str, nodes: Sequence[ServedNode], service: Service) -> str:
    key = name if name.replace("_", "").isalnum() else f'"{name}"'
    dbname = service.login.dbname
    value = dbname if dbname.replace("_", "").isalnum() else "'" + dbname.replace("'", "''") + "'"
    return f"{key} = host={','.join(node.host for node in nodes)} port={nodes[0].port} dbname={value}"


def _statements(cluster: ServedCluster, *, own_role: bool) -> Iterator[str]:
    """Yield what replaces the options of the sessions: settings of the roles, which are the same on all nodes."""
    done = set()
    for service, other in (cluster.services[::-1], cluster.services):
        login = service.login
        shared = login.user == other.login.user
        for name, value in settings_in(login.options).items():
            if name == "search_path" and not own_role:
                raise ImproperlyConfigured(
                    f"DATABASES[{cluster.alias!r}] has a search_path, which PgBouncer does not hand on. As a setting "
                    f"of the role {login.user or '<role>'} it would hold on every server that logs in as that role, "
                    "and integration would write into production: give this server a role of its own, then say "
                    "--own-role."
                )
            # A role has one value for a setting, on the primary and on the replicas: no role that writes is read-only.
            if shared and settings_in(other.login.options).get(name) != value:
                yield f"(Not {name} = {value}: {login.user or '<role>'} is the role of {other.name}, too. Another USER"
                yield f"for the aliases of {service.name} can have it.)"
                continue
            role = quote(login.user) if login.user else "<role>"
            text = search_path(*parse(value)) if name in _LISTS else "'" + value.replace("'", "''") + "'"
            key = ".".join(part if part.isidentifier() else quote(part) for part in name.split("."))
            statement = f"ALTER ROLE {role} IN DATABASE {quote(login.dbname)} SET {key} = {text};"
            if statement not in done:
                done.add(statement)
                yield statement


def _settings(clusters: Sequence[ServedCluster], options: ServiceOptions) -> Mapping[str, object]:
    transport: dict[str, str] = {}
    for service in (service for cluster in clusters for service in cluster.services):
        for key, name in _TLS.items():
            value = service.login.parameters.get(key, "")
            if transport.setdefault(name, value) != value:
                raise ImproperlyConfigured(
                    f"OPTIONS[{key!r}] of {service.name} differs from another's: PgBouncer has one {name}; "
                    "make them equal, or write a file each with --database."
                )
    return {
        "listen_addr": options.listen,
        "listen_port": options.port or PORT,
        "auth_type": "scram-sha-256",
        "auth_file": options.userlist,
        # Django's server-side cursors, advisory locks and SET need their session for longer than a transaction.
        "pool_mode": "session",
        "max_client_conn": 1000,
        "default_pool_size": 20,
        # A node that is back takes connections after a second, not after 15.
        "server_login_retry": 1,
        # Drivers send these; PgBouncer before 1.20 would refuse the connection for the second.
        "ignore_startup_parameters": "extra_float_digits,options",
        **{name: value for name, value in transport.items() if value},
    }
