"""What can GMF_ROUTER say? Each key once: its name, what it may be, its default and its meaning.

From these dataclasses follow the parsing, the problems that `check` reports, and the table of the settings reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import NoneType
from typing import Any

from django_gmf_router.settings import kinds
from django_gmf_router.settings.kinds import choice, key, optional, section
from django_gmf_router.settings.sections import (
    UNEXPECTED_WRITES,
    ConsistencyConfig,
    HealthConfig,
    PatternsConfig,
    SchemasConfig,
    UnexpectedWritesConfig,
)

DATABASE_CACHE = "django_cache.*"
DEFAULT_PRIMARY_MODELS = ("sessions.*", "contenttypes.*", DATABASE_CACHE)
"""Sessions, content types and the database cache (its stand-in model says app "django_cache")."""
IMAGINED = "replica"
"""The alias that a DRY_RUN without replicas names: no connection is made by it."""


class Role(str, Enum):
    """What a node is for. Equal to its plain word, and printed as it."""

    PRIMARY = "primary"
    REPLICA = "replica"

    # Enum's own would print "Role.PRIMARY"; the word stands in headers, logs and JSON.
    __str__ = str.__str__
    # Enum's own is not the hash of the word that this equals, nor C's: decisions are counted.
    __hash__ = str.__hash__


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaConfig:
    """One replica alias of a cluster."""

    alias: str
    weight: float = key(
        "WEIGHT", kinds.POSITIVE, 1.0, "How often this replica is picked, relative to the others of its cluster."
    )
    balanced: bool = key(
        "BALANCED", kinds.BOOL, False, "The alias' host is an endpoint with several servers behind it."
    )
    pool: str | None = key(
        "POOL", optional(kinds.NAME), None, "The pool whose reads it serves, and no others; `None`: the default pool."
    )
    tier: int = key("TIER", kinds.RANK, 1, "It serves only while none of its pool with a smaller number can.")


def _replicas(replicas: Any) -> tuple[ReplicaConfig, ...]:
    if isinstance(replicas, Mapping):
        return tuple(kinds.parsed(ReplicaConfig, options or {}, alias=alias) for alias, options in replicas.items())
    return tuple(ReplicaConfig(alias=alias) for alias in replicas or ())


OPTIONS = section(ReplicaConfig)
REPLICAS = kinds.Kind(
    text="list of aliases, or dict of alias to options",
    types=(list, tuple, dict, NoneType),
    inner=lambda _alias: OPTIONS,
    parse=_replicas,
)


# None and an empty dict are no schemas: tables stand where they stood.
SCHEMAS = replace(
    section(SchemasConfig),
    text="dict or `None`",
    parse=lambda schemas: kinds.parsed(SchemasConfig, schemas) if schemas else None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """One entry of GMF_ROUTER: a primary alias with its replica aliases."""

    primary: str
    replicas: tuple[ReplicaConfig, ...] = key("REPLICAS", REPLICAS, (), "The replicas of this primary.")
    read_methods: frozenset[str] = key(
        "READ_METHODS",
        kinds.METHODS,
        frozenset({"GET", "HEAD", "OPTIONS"}),
        "The methods whose requests read from replicas.",
    )
    db_chooser: PatternsConfig = key(
        "DB_CHOOSER", section(PatternsConfig), PatternsConfig(), "Requests that are an exception to their method."
    )
    apps: frozenset[str] | None = key(
        "APPS", optional(kinds.APP_LABELS), None, "The apps whose models live in this cluster; `None`: all others."
    )
    primary_models: tuple[str, ...] = key(
        "PRIMARY_MODELS", kinds.MODEL_LABELS, DEFAULT_PRIMARY_MODELS, "Models that are read from the primary, always."
    )
    replica_models: tuple[str, ...] | None = key(
        "REPLICA_MODELS", optional(kinds.MODEL_LABELS), None, "The only models that replicas serve; `None`: all."
    )
    chooser: str | None = key(
        "CHOOSER", optional(kinds.DOTTED_PATH), None, "A function that answers for a request where it reads."
    )
    share: float = key("SHARE", kinds.FRACTION, 1.0, "The part of the clients that replicas serve.")
    dry_run: bool = key(
        "DRY_RUN", kinds.BOOL, False, "Everything is decided and told as ever, and all is read from the primary."
    )
    outside_requests: Role = key(
        "OUTSIDE_REQUESTS", choice(*Role, parse=Role), Role.PRIMARY, "Where commands, the shell and workers read."
    )
    unexpected_writes: UnexpectedWritesConfig = key(
        "UNEXPECTED_WRITES",
        UNEXPECTED_WRITES,
        UnexpectedWritesConfig(),
        "What happens when a request that the rules sent to replicas writes.",
    )
    unexpected_primary_reads: str = key(
        "UNEXPECTED_PRIMARY_READS",
        choice("allow", "warn"),
        "allow",
        "What happens when a request that the rules sent to replicas reads from the primary.",
    )
    balancer: str = key(
        "BALANCER", choice("random", "stable", "least_busy"), "random", "How one replica is picked among several."
    )
    pools: tuple[tuple[str, tuple[str, ...]], ...] = key(
        "POOLS", kinds.NAMED_PATTERNS, (), "By pool the requests whose reads it serves; the first that matches."
    )
    primary_weight: float = key(
        "PRIMARY_WEIGHT", kinds.WEIGHT, 0.0, "How often the primary is picked for a read, beside the replicas' WEIGHT."
    )
    spill: int | None = key(
        "SPILL",
        optional(kinds.COUNT),
        None,
        "How many requests at once, of each process, may read from the primary while no replica serves; the rest is "
        "answered 503. `None`: any number.",
    )
    consistency: ConsistencyConfig = key(
        "CONSISTENCY", section(ConsistencyConfig), ConsistencyConfig(), "What a client that wrote sees afterwards."
    )
    health: HealthConfig = key("HEALTH", section(HealthConfig), HealthConfig(), "How the nodes are watched.")
    primary_wait: float = key("PRIMARY_WAIT", kinds.SECONDS, 0.0, "How long a write waits for a primary to come back.")
    debug_header: str | None = key(
        "DEBUG_HEADER", optional(kinds.HEADER_NAME), None, "The response header that says who served the request."
    )
    schemas: SchemasConfig | None = key(
        "SCHEMAS",
        SCHEMAS,
        None,
        "The schemas of this server and of all servers, in one database.",
    )

    @property
    def apps_or_rest(self) -> frozenset[str | None]:
        """The apps of this cluster; None stands for all that no other cluster names."""
        return frozenset({None}) if self.apps is None else frozenset(self.apps)

    @property
    def master(self) -> tuple[str, ...]:
        """The patterns of requests that use the primary."""
        return (*self.db_chooser.master, *self.db_chooser.primary)

    @property
    def slave(self) -> tuple[str, ...]:
        """The patterns of requests that read from a replica."""
        return (*self.db_chooser.slave, *self.db_chooser.replica)

    @property
    def replica_aliases(self) -> tuple[str, ...]:
        """The aliases of the replicas, in the order of the settings."""
        return tuple(replica.alias for replica in self.replicas)

    @property
    def balanced_aliases(self) -> frozenset[str]:
        """The replicas' aliases that are more than one server."""
        return frozenset(replica.alias for replica in self.replicas if replica.balanced)

    def tiers(self, pool: str | None) -> tuple[tuple[ReplicaConfig, ...], ...]:
        """Return the replicas for the reads of a pool, in groups of equals: the first that can serves.

        After the tiers of the pool itself come those of the default pool.
        """
        found = []
        for name in dict.fromkeys((pool, None)):
            own = [replica for replica in self.replicas or self._imagined if replica.pool == name]
            ranks = sorted({replica.tier for replica in own})
            found += [tuple(replica for replica in own if replica.tier == rank) for rank in ranks]
        return tuple(found)

    @property
    def site(self) -> str:
        """What tells the sites apart that share one database: each has a main schema of its own."""
        return self.schemas.main if self.schemas else ""

    @property
    def _imagined(self) -> tuple[ReplicaConfig, ...]:
        """One that stands in where a site learns its share before it buys a server."""
        return (ReplicaConfig(alias=IMAGINED),) if self.dry_run else ()

    @property
    def tiers_by_pool(self) -> dict[str | None, tuple[tuple[ReplicaConfig, ...], ...]]:
        """The tiers of each pool by its name; None is the default pool's."""
        return {name: self.tiers(name) for name in {None, *(replica.pool for replica in self.replicas)}}

    @property
    def aliases(self) -> frozenset[str]:
        """Every alias of the cluster."""
        return frozenset((self.primary, *self.replica_aliases))


def parse(primary: str, entry: Mapping[str, Any]) -> ClusterConfig:
    """Return one valid entry of GMF_ROUTER as a ClusterConfig."""
    cluster: ClusterConfig = kinds.parsed(ClusterConfig, entry, primary=primary)
    if cluster.consistency.store == "cache" and DATABASE_CACHE not in cluster.primary_models:
        # A cache in the database that keeps the tokens: which replica may be read stands in what is read there.
        return replace(cluster, primary_models=(*cluster.primary_models, DATABASE_CACHE))
    return cluster
