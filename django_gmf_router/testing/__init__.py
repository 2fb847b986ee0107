"""What can a site test itself with?

Imported on first use: pytest loads the plugin, and with it this package, into every test run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_gmf_router.testing.assertions import assert_routed_to
    from django_gmf_router.testing.cluster import LocalCluster
    from django_gmf_router.testing.machine import LocalClusterError
    from django_gmf_router.testing.server import NodeStatus

__all__ = ["LocalCluster", "LocalClusterError", "NodeStatus", "assert_routed_to"]

_MODULES = {
    "LocalCluster": "cluster",
    "LocalClusterError": "machine",
    "NodeStatus": "server",
    "assert_routed_to": "assertions",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
