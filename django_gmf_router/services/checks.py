"""How does HAProxy find out which node is up, and which one is the primary?"""

from __future__ import annotations

import shlex
import struct
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.services.values import Node, ServedCluster, Wanted

PROTOCOL = 3 << 16
TERMINATE = b"X" + struct.pack("!i", 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """The lines of the two backends, and which nodes stand in both of them: those whose role the check tells."""

    primary: tuple[str, ...]
    replica: tuple[str, ...]
    candidates: tuple[Node, ...] = ()
    suffix: str = ""


def checks_of(cluster: ServedCluster, wanted: Wanted) -> Checks:
    """Return Patroni's checks, those of a role without a password, or that a node answers and has its fixed role."""
    if wanted.patroni_port is not None:
        return _patroni(cluster, wanted.patroni_port)
    if wanted.check_user is not None:
        return _by_session(cluster, wanted.check_user)
    return _alive(cluster)


def _patroni(cluster: ServedCluster, port: int) -> Checks:
    """Patroni's REST API (its manual, "Health check endpoints")."""
    primary, replica = (
        ("option httpchk", f"http-check send meth OPTIONS uri /{role}", "http-check expect status 200")
        for role in ("primary", "replica")
    )
    return Checks(primary=primary, replica=replica, candidates=cluster.writing.nodes, suffix=f" port {port}")


def _by_session(cluster: ServedCluster, user: str) -> Checks:
    """PostgreSQL 14 and later say `in_hot_standby` as soon as a session is open (manual, "Asynchronous Operations")."""
    if not user.isprintable():
        raise ImproperlyConfigured(f"--check-user {user!r} is no name of a role.")
    # Both in one: the server closes at once, and an answer that is the wrong one is known without a time-out.
    sent = (_startup(user) + TERMINATE).hex()
    head = (
        f"# Needs a role without rights that logs in without a password: CREATE ROLE {user} LOGIN, and in pg_hba.conf",
        f"# host postgres {user} <address of HAProxy>/32 trust",
        "option tcp-check",
        f"tcp-check send-binary {sent}",
    )
    primary, replica = (
        (*head, f"tcp-check expect binary {_status('in_hot_standby', value).hex()}") for value in ("off", "on")
    )
    return Checks(primary=primary, replica=replica, candidates=cluster.writing.nodes)


def _alive(cluster: ServedCluster) -> Checks:
    """Without a session the server does not say its role (manual, "Message Flow"): the settings do."""
    if len(cluster.primaries) > 1:
        raise ImproperlyConfigured(
            f"DATABASES[{cluster.alias!r}] has several hosts, and which one is the primary needs a check: "
            "say --patroni-port PORT, or --check-user ROLE."
        )
    if not cluster.writing.user:
        raise ImproperlyConfigured(
            f"DATABASES[{cluster.alias!r}] has no USER: HAProxy's check needs the name of a role."
        )
    note = (
        "# Tells that a node answers, not its role: after an election write this file again, or use",
        "# --patroni-port or --check-user, whose checks find the primary.",
    )
    primary, replica = (
        f"option pgsql-check user {shlex.quote(service.user or cluster.writing.user)}"
        for service in (cluster.writing, cluster.reading)
    )
    return Checks(primary=(*note, primary), replica=(replica,))


def _startup(user: str) -> bytes:
    body = struct.pack("!i", PROTOCOL) + b"user\0" + user.encode() + b"\0database\0postgres\0\0"
    return struct.pack("!i", len(body) + 4) + body


def _status(name: str, value: str) -> bytes:
    body = f"{name}\0{value}\0".encode()
    return b"S" + struct.pack("!i", len(body) + 4) + body
