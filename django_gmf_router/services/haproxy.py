"""How does HAProxy offer a port for the primary and one for the replicas, and find out which node is which?"""

from __future__ import annotations

import re
import shlex
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.postgres.names import quote
from django_gmf_router.services.served_clusters import ServedCluster, ServedNode
from django_gmf_router.services.service_options import HIGHEST_PORT, ServiceOptions, heading

# GeoMapFish's ports, in production: the primary's and, one higher, the replicas'.
PORT = 30100
HEAVIEST = 256
"""The largest weight of a server that HAProxy takes."""
DEFAULTS = """\
defaults
    mode tcp
    timeout connect 2s
    timeout check 2s
    # Persistent connections stand idle for long.
    timeout client 1h
    timeout server 1h
    # Refused: at once to another node.
    retries 3
    option redispatch 1
    # A name that resolves to nothing stops its own node, not HAProxy.
    default-server init-addr last,libc,none inter 1s fall 2 rise 2 on-marked-down shutdown-sessions
"""
# The two messages of a check (PostgreSQL's manual, "Message Formats"): StartupMessage of protocol 3.0, and Terminate.
PROTOCOL = 3 << 16
TERMINATE = b"X" + struct.pack("!i", 4)


def configuration(clusters: Sequence[ServedCluster], options: ServiceOptions) -> str:
    """Return the whole file: for each cluster two ports, the primary's and the replicas'."""
    parts = [heading("haproxy"), "global\n    maxconn 4096\n", DEFAULTS]
    first = options.port or PORT
    if (last := first + 2 * len(clusters) - 1) > HIGHEST_PORT:
        raise ImproperlyConfigured(f"--port {first} leads to {last}, and ports end at {HIGHEST_PORT}: say a lower one.")
    for number, cluster in enumerate(clusters):
        parts.extend(_sections(cluster, options, first + 2 * number))
    return "\n".join(parts)


def _sections(cluster: ServedCluster, options: ServiceOptions, port: int) -> Iterator[str]:
    checks = role_checks(cluster, options)
    reading, writing = (service.name for service in cluster.services)
    primary, replicas = f"{cluster.alias}_primary", f"{cluster.alias}_replicas"
    address = f"[{options.listen}]" if ":" in options.listen else options.listen
    sections = {
        f"frontend {writing}": [f"bind {address}:{port}", f"default_backend {primary}"],
        f"frontend {reading}": [
            f"bind {address}:{port + 1}",
            "# The primary comes last.",
            f"use_backend {primary} if {{ nbsrv({replicas}) eq 0 }}",
            f"default_backend {replicas}",
        ],
        f"backend {primary}": [*checks.primary, *_servers(checks.candidates or cluster.primaries, checks.suffix)],
        f"backend {replicas}": [
            "balance leastconn",
            *checks.replica,
            *_servers(checks.candidates or cluster.replicas, checks.suffix, weighted=True),
        ],
    }
    for title, lines in sections.items():
        yield "".join([f"{title}\n", *(f"    {line}\n" for line in lines)])


def _servers(nodes: Sequence[ServedNode], suffix: str, *, weighted: bool = False) -> Iterator[str]:
    weights = {node.weight for node in nodes}
    for node in nodes:
        if node.host.startswith(("/", "@")):
            raise ImproperlyConfigured(
                f"DATABASES[{node.name!r}] is reached by a Unix socket: HAProxy needs a host that it can reach."
            )
        weight = (
            f" weight {max(1, round(HEAVIEST * node.weight / max(weights)))}" if weighted and len(weights) > 1 else ""
        )
        yield f"server {node.name} {node.address} check{suffix}{weight}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChecks:
    """How HAProxy tells the roles: the lines of the two backends."""

    primary: tuple[str, ...]
    replica: tuple[str, ...]
    candidates: tuple[ServedNode, ...] = ()
    """The nodes that stand in both backends: those whose role the check tells."""
    suffix: str = ""
    """What each `server` line ends with."""


def role_checks(cluster: ServedCluster, options: ServiceOptions) -> RoleChecks:
    """Return Patroni's checks, those of a role without a password, or that a node answers and has its fixed role."""
    if options.patroni_port is not None:
        return _by_patroni(cluster, options.patroni_port)
    if options.check_user is not None:
        return _by_session(cluster, options.check_user)
    return _by_settings(cluster)


def _by_patroni(cluster: ServedCluster, port: int) -> RoleChecks:
    """Patroni's REST API (its manual, "Health check endpoints")."""
    primary, replica = (
        ("option httpchk", f"http-check send meth OPTIONS uri /{role}", "http-check expect status 200")
        for role in ("primary", "replica")
    )
    return RoleChecks(primary=primary, replica=replica, candidates=cluster.writing.nodes, suffix=f" port {port}")


def _by_session(cluster: ServedCluster, user: str) -> RoleChecks:
    """PostgreSQL 14 and later say `in_hot_standby` as soon as a session is open (manual, "Asynchronous Operations")."""
    name = user if re.fullmatch(r"[a-z_][a-z0-9_]*", user) else quote(user)
    startup = struct.pack("!i", PROTOCOL) + b"user\0" + user.encode() + b"\0database\0postgres\0\0"
    # Both in one: the server closes at once, and an answer that is the wrong one is known without a time-out.
    sent = struct.pack("!i", len(startup) + 4) + startup + TERMINATE
    head = (
        f"# Needs a role without rights that logs in without a password: CREATE ROLE {name} LOGIN, and in pg_hba.conf",
        f"# host postgres {name} <address of HAProxy>/32 trust",
        "option tcp-check",
        f"tcp-check send-binary {sent.hex()}",
    )

    def expected(in_hot_standby: str) -> str:
        status = f"in_hot_standby\0{in_hot_standby}\0".encode()
        return f"tcp-check expect binary {(b'S' + struct.pack('!i', len(status) + 4) + status).hex()}"

    candidates = cluster.writing.nodes
    return RoleChecks(primary=(*head, expected("off")), replica=(*head, expected("on")), candidates=candidates)


def _by_settings(cluster: ServedCluster) -> RoleChecks:
    """Without a session the server does not say its role (manual, "Message Flow"): the settings do."""
    if len(cluster.primaries) > 1:
        raise ImproperlyConfigured(
            f"DATABASES[{cluster.alias!r}] has several hosts, and which one is the primary needs a check: "
            "say --patroni-port PORT, or --check-user ROLE."
        )
    writer = cluster.writing.login.user
    if not writer:
        raise ImproperlyConfigured(
            f"DATABASES[{cluster.alias!r}] has no USER: HAProxy's check needs the name of a role."
        )
    note = (
        "# Tells that a node answers, not its role: after an election write this file again, or use",
        "# --patroni-port or --check-user, whose checks find the primary.",
    )
    primary, replica = (
        f"option pgsql-check user {shlex.quote(user)}" for user in (writer, cluster.reading.login.user or writer)
    )
    return RoleChecks(primary=(*note, primary), replica=(replica,))
