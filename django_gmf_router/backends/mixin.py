"""What does this package add to a PostgreSQL database backend?"""

from __future__ import annotations

from typing import Any

from django_gmf_router import clusters
from django_gmf_router.replicas.sessions import CONNECT_TIMEOUT_SECONDS, read_only_options


class ReplicaConnectionMixin:
    """For the `DatabaseWrapper` of a PostgreSQL backend, before it among the bases.

    An alias of a cluster connects within 2 seconds or fails, unless its OPTIONS say otherwise; a replica's session is
    read-only from its first statement on.
    """

    alias: str

    def get_connection_params(self) -> dict[str, Any]:
        """Answer the driver's parameters as Django builds them, and these two."""
        params: dict[str, Any] = super().get_connection_params()  # type: ignore[misc]
        if clusters.of_alias(self.alias) is not None:
            params.setdefault("connect_timeout", CONNECT_TIMEOUT_SECONDS)
        if clusters.is_replica(self.alias):
            params["options"] = read_only_options(params.get("options"))
        return params
