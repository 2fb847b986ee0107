"""How does HAProxy offer a port for the primary and one for the replicas?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.services.checks import checks_of
from django_gmf_router.services.values import HEADER, Node, ServedCluster, Wanted, comment

PORT = 30100
HEAVIEST = 256
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


def render(clusters: Sequence[ServedCluster], wanted: Wanted) -> str:
    """Return the whole file: for each cluster two ports, the primary's and the replicas'."""
    head = [line.format("haproxy") for line in HEADER]
    parts = [comment(head), "global\n    maxconn 4096\n", DEFAULTS]
    first = wanted.port or PORT
    for number, cluster in enumerate(clusters):
        parts.extend(_cluster(cluster, wanted, first + 2 * number))
    return "\n".join(parts)


def _cluster(cluster: ServedCluster, wanted: Wanted, port: int) -> Iterator[str]:
    check = checks_of(cluster, wanted)
    reading, writing = (service.name for service in cluster.services)
    primary, replicas = f"{cluster.alias}_primary", f"{cluster.alias}_replicas"
    yield _section(f"frontend {writing}", [_bind(wanted, port), f"default_backend {primary}"])
    yield _section(
        f"frontend {reading}",
        [
            _bind(wanted, port + 1),
            "# The primary comes last.",
            f"use_backend {primary} if {{ nbsrv({replicas}) eq 0 }}",
            f"default_backend {replicas}",
        ],
    )
    yield _section(
        f"backend {primary}", [*check.primary, *_servers(check.candidates or cluster.primaries, check.suffix)]
    )
    lines = [*check.replica, *_servers(check.candidates or cluster.replicas, check.suffix, weighted=True)]
    yield _section(f"backend {replicas}", ["balance leastconn", *lines])


def _section(title: str, lines: Sequence[str]) -> str:
    return "".join([f"{title}\n", *(f"    {line}\n" for line in lines)])


def _bind(wanted: Wanted, port: int) -> str:
    return f"bind {'[' + wanted.listen + ']' if ':' in wanted.listen else wanted.listen}:{port}"


def _servers(nodes: Sequence[Node], suffix: str, *, weighted: bool = False) -> Iterator[str]:
    weights = {node.weight for node in nodes}
    for node in nodes:
        if node.host.startswith(("/", "@")):
            raise ImproperlyConfigured(
                f"DATABASES[{node.name!r}] is reached by a Unix socket: HAProxy needs a host that it can reach."
            )
        share = (
            f" weight {max(1, round(HEAVIEST * node.weight / max(weights)))}" if len(weights) > 1 and weighted else ""
        )
        yield f"server {node.name} {node.address} check{suffix}{share}"
