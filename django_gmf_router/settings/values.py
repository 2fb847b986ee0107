"""What can GMF_ROUTER say? Each key once: its name, what it may be, its default and its meaning.

From these dataclasses follow the parsing, the problems that `check` reports, and the table of the settings reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import NoneType
from typing import Any

from django_gmf_router.settings import kinds
from django_gmf_router.settings.kinds import choice, key, optional, section

DATABASE_CACHE = "django_cache.*"
DEFAULT_PRIMARY_MODELS = ("sessions.*", "contenttypes.*", DATABASE_CACHE)
"""Sessions, content types and the database cache (its stand-in model says app "django_cache")."""
DEFAULT_STATIC_APPS = frozenset({"admin", "auth", "contenttypes", "sessions"})
"""What Django's own apps write at run time."""


class Role(str, Enum):
    """What a node is for. Equal to its plain word, and printed as it."""

    PRIMARY = "primary"
    REPLICA = "replica"

    # Enum's own would print "Role.PRIMARY"; the word stands in headers, logs and JSON.
    __str__ = str.__str__


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternsConfig:
    """Regular expressions over "METHOD /path", tried in order with `re.match`; GeoMapFish's words and ours."""

    master: tuple[str, ...] = key(
        "master", kinds.PATTERNS, (), "Their requests use the primary, also where `slave` matches."
    )
    slave: tuple[str, ...] = key(
        "slave", kinds.PATTERNS, (), "Their requests read from a replica, whatever the method."
    )
    primary: tuple[str, ...] = key("primary", kinds.PATTERNS, (), "The same as `master`.")
    replica: tuple[str, ...] = key("replica", kinds.PATTERNS, (), "The same as `slave`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnexpectedWritesConfig:
    """What happens with a write in a request that the rules sent to replicas, by patterns over "METHOD /path"."""

    allow: tuple[str, ...] = key("allow", kinds.PATTERNS, (), "Their requests may write.")
    warn: tuple[str, ...] = key("warn", kinds.PATTERNS, (), "Their requests may write, and it is logged.")
    refuse: tuple[str, ...] = key("refuse", kinds.PATTERNS, (), "Their requests may not write.")
    otherwise: str = "warn"
    """Where no pattern matches, or only a word was given."""

    def answer(self, method: str, path: str) -> str:
        """Return "allow", "warn" or "refuse"; the mildest whose pattern matches."""
        lists = {"allow": self.allow, "warn": self.warn, "refuse": self.refuse}
        matching = (
            word for word, patterns in lists.items() if any(re.match(one, f"{method} {path}") for one in patterns)
        )
        return next(matching, self.otherwise)


UNEXPECTED_WRITES = kinds.word_or_section(choice("warn", "allow", "refuse"), UnexpectedWritesConfig, "otherwise")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyConfig:
    """How a client reads its own writes."""

    level: str = key("LEVEL", choice("session", "eventual", "strong"), "session", "Whose writes a read sees at least.")
    store: str = key("STORE", choice("cookie", "header", "cache"), "cookie", "Where the client's token is kept.")
    max_age: float = key("MAX_AGE", kinds.POSITIVE_SECONDS, 60, "How long a token counts.")
    window: float = key(
        "WINDOW", kinds.SECONDS, 5, "How long a client reads from the primary after a write without a position."
    )
    cookie_name: str = key("COOKIE_NAME", kinds.HEADER_NAME, "gmf_token", "The cookie that holds the token.")
    cookie_domain: str | None = key(
        "COOKIE_DOMAIN", optional(kinds.STR), None, "Its domain; `None`: as `SESSION_COOKIE_DOMAIN`."
    )
    cookie_path: str | None = key(
        "COOKIE_PATH", optional(kinds.STR), None, "Its path; `None`: as `SESSION_COOKIE_PATH`."
    )
    cookie_samesite: str | None = key(
        "COOKIE_SAMESITE",
        optional(choice("Lax", "Strict", "None")),
        None,
        "Its SameSite; `None`: as `SESSION_COOKIE_SAMESITE`.",
    )
    header: str = key("HEADER", kinds.HEADER_NAME, "GMF-Consistency-Token", "The header that holds the token.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowConfig:
    """When a replica is slow."""

    factor: float = key("FACTOR", kinds.ABOVE_ONE, 4.0, "How many times as long as on the best its reads take.")
    floor: float = key("FLOOR", kinds.SECONDS, 0.05, "What takes no longer than this is not slow.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthConfig:
    """How nodes are watched."""

    interval: float = key("INTERVAL", kinds.POSITIVE_SECONDS, 1.0, "How often each node is probed.")
    timeout: float = key("TIMEOUT", kinds.POSITIVE_SECONDS, 2.0, "How long a probe may take before its node is down.")
    max_lag: float = key("MAX_LAG", kinds.POSITIVE_SECONDS, 5.0, "A replica that is behind by more gets no reads.")
    slow: SlowConfig | None = key(
        "SLOW", optional(section(SlowConfig)), SlowConfig(), "When a replica is slow; `None`: none ever is."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemasConfig:
    """The schemas of a cluster's database: main is this server's own, static is shared by all servers."""

    main: str = key("MAIN", kinds.SCHEMA_NAME, "main", "The schema of the apps that are not static.")
    static: str = key("STATIC", kinds.SCHEMA_NAME, "static", "The schema of the static apps.")
    static_apps: frozenset[str] = key(
        "STATIC_APPS", kinds.APP_LABELS, DEFAULT_STATIC_APPS, "The apps whose tables all servers share."
    )
    extensions: str = key("EXTENSIONS", kinds.SCHEMA_NAME, "public", "The schema of PostGIS and other extensions.")

    @property
    def path(self) -> tuple[str, str, str]:
        """The schemas in which every session looks for a name, in this order."""
        return (self.main, self.static, self.extensions)

    def schema_of(self, app_label: str) -> str:
        """Return the schema that holds the tables of an app, and the history of its migrations."""
        return self.static if app_label in self.static_apps else self.main

    def path_of(self, app_label: str) -> tuple[str, ...]:
        """Return where the migrations of an app look for a name: its own schema first; from static never in main."""
        return self.path[1:] if app_label in self.static_apps else self.path


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
    outside_requests: Role = key(
        "OUTSIDE_REQUESTS", choice(*Role, parse=Role), Role.PRIMARY, "Where commands, the shell and workers read."
    )
    unexpected_writes: UnexpectedWritesConfig = key(
        "UNEXPECTED_WRITES",
        UNEXPECTED_WRITES,
        UnexpectedWritesConfig(),
        "What happens when a request that the rules sent to replicas writes.",
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
            own = [replica for replica in self.replicas if replica.pool == name]
            ranks = sorted({replica.tier for replica in own})
            found += [tuple(replica for replica in own if replica.tier == rank) for rank in ranks]
        return tuple(found)

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
