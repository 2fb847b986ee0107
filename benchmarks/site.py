"""Which site do the benchmarks run on? One cluster of SQLite aliases, every feature of the package on."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.utils import ConnectionRouter

from benchmarks import peers

OUR_ROUTER = "django_gmf_router.routers.PrimaryReplicaRouter"
OUR_MIDDLEWARE = "django_gmf_router.middleware.RoutingMiddleware"
MEMORY = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
SETTINGS: dict[str, Any] = {
    "SECRET_KEY": "for the benchmarks only",
    "ALLOWED_HOSTS": ["*"],
    "INSTALLED_APPS": ["django.contrib.auth", "django.contrib.contenttypes", "django_gmf_router"],
    "DATABASES": {"default": MEMORY, "replica_1": MEMORY, "replica_2": MEMORY},
    "DATABASE_ROUTERS": [OUR_ROUTER],
    "GMF_ROUTER": {
        "default": {
            "REPLICAS": ["replica_1", "replica_2"],
            "DB_CHOOSER": {"master": [r"GET /s/.*"], "slave": [r"\w+ /printproxy/.*"]},
        }
    },
    **peers.SETTINGS,
}


class ConstantRouter:
    """The least a router can do."""

    def db_for_read(self, model: Any, **hints: Any) -> str:  # noqa: ARG002
        """Return always the same."""
        return "replica_1"


def routers() -> dict[str, ConnectionRouter]:
    """Return Django's router of routers for each contestant's router, by the contestant's name."""
    paths: dict[str, Any] = {"constant": ConstantRouter(), "ours": OUR_ROUTER}
    paths.update({peer.name: peer.router for peer in peers.installed()})
    return {name: ConnectionRouter([path]) for name, path in paths.items()}


def open_primary() -> None:
    """Open the primary's connection, as any site has it that wrote before; the guard is installed with it."""
    connections["default"].ensure_connection()
    if not connections["default"].execute_wrappers:
        raise AssertionError("The guard is not installed: these figures would not be those of a site.")
