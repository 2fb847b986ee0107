"""Which other packages split reads and writes? Those of PyPI, measured beside ours where installed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A package with a router and a middleware; it reads its own settings."""

    name: str
    module: str
    router: str
    middleware: str

    @property
    def is_installed(self) -> bool:
        """Whether it can be imported."""
        return find_spec(self.module) is not None


PEERS = (
    Peer(
        name="django-multidb-router",
        module="multidb",
        router="multidb.PinningReplicaRouter",
        middleware="multidb.middleware.PinningRouterMiddleware",
    ),
    Peer(
        name="django-rw-router",
        module="django_rw_router",
        router="django_rw_router.routers.TransactionPrimaryReplicaRouter",
        middleware="django_rw_router.middleware.RequestContextMiddleware",
    ),
)
SETTINGS = {
    "REPLICA_DATABASES": ["replica_1", "replica_2"],
    "DJANGO_RW_ROUTER_READ_DBS": ["replica_1", "replica_2"],
}


def installed() -> list[Peer]:
    """Return the peers that can be measured here."""
    return [peer for peer in PEERS if peer.is_installed]


def missing() -> list[str]:
    """Return the names of those that cannot."""
    return [peer.name for peer in PEERS if not peer.is_installed]
