"""What can a site test itself with?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_gmf_router.testing.cluster import LocalCluster
from django_gmf_router.testing.errors import LocalClusterError
from django_gmf_router.testing.values import NodeStatus

if TYPE_CHECKING:
    from django_gmf_router.testing.assertions import assert_routed_to

__all__ = ["LocalCluster", "LocalClusterError", "NodeStatus", "assert_routed_to"]


def __getattr__(name: str) -> Any:
    # The assertions need Django with its settings, the cluster does without.
    if name == "assert_routed_to":
        from django_gmf_router.testing.assertions import assert_routed_to  # noqa: PLC0415

        return assert_routed_to
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
