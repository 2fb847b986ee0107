"""Which alias does Django's ORM use for a query? The ORM edge; no logic."""

from __future__ import annotations

from typing import Any

from django_gmf_router import clusters

_READS = clusters.READS
_WRITES = clusters.WRITES


class PrimaryReplicaRouter:
    """Django's four router methods, for `DATABASE_ROUTERS`.

    Each answers None for what belongs to no cluster with replicas: Django and the routers after this one decide.
    """

    def db_for_read(self, model: Any, instance: Any = None, **hints: Any) -> str | None:  # noqa: ARG002
        """Return the alias for a read: the primary's or that of the replica this unit of work has."""
        try:
            read = _READS[model]
        except KeyError:
            read = clusters.read_of(model)
        return read(model, instance)

    def db_for_write(self, model: Any, instance: Any = None, **hints: Any) -> str | None:  # noqa: ARG002
        """Return the primary's alias; asking is no write, since Django asks where nothing is written."""
        try:
            write = _WRITES[model]
        except KeyError:
            write = clusters.write_of(model)
        return write(model, instance)

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool | None:  # noqa: ARG002
        """Return True within one cluster: its aliases are one database."""
        cluster = clusters.of_alias(first._state.db)
        return True if cluster is not None and second._state.db in cluster.policy.aliases else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:  # noqa: ARG002
        """Return False for replicas, which receive migrations from their primary, and for another cluster's apps."""
        return clusters.may_migrate(db, app_label)
