"""What does GMF_ROUTER say, as values that cannot change?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from django_gmf_router.settings import problems


class Role(str, Enum):
    """What a query may use, or what a node is."""

    PRIMARY = "primary"
    REPLICA = "replica"

    def __str__(self) -> str:
        return self.value


SETTING = "GMF_ROUTER"
DEFAULT_PRIMARY_MODELS = ("sessions.*", "contenttypes.*", "django_cache.*")
"""Sessions, content types and the database cache (its stand-in model says app "django_cache")."""
DEFAULT_STATIC_APPS = frozenset({"admin", "auth", "contenttypes", "sessions"})
"""What Django's own apps write at run time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaConfig:
    """One replica alias of a cluster."""

    alias: str
    weight: float = 1.0
    balanced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyConfig:
    """How a client reads its own writes; times in seconds."""

    level: str = "session"
    store: str = "cookie"
    max_age: float = 60
    window: float = 5
    cookie_name: str = "gmf_token"
    header: str = "GMF-Consistency-Token"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthConfig:
    """How nodes are watched; times in seconds."""

    interval: float = 1.0
    timeout: float = 2.0
    max_lag: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemasConfig:
    """The schemas of a cluster's database: main is this server's own, static is shared by all servers."""

    main: str = "main"
    static: str = "static"
    static_apps: frozenset[str] = DEFAULT_STATIC_APPS
    extensions: str = "public"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """One entry of GMF_ROUTER: a primary alias with its replica aliases."""

    primary: str
    replicas: tuple[ReplicaConfig, ...] = ()
    read_methods: frozenset[str] = frozenset({"GET", "HEAD", "OPTIONS"})
    master: tuple[str, ...] = ()
    slave: tuple[str, ...] = ()
    apps: frozenset[str] | None = None
    primary_models: tuple[str, ...] = DEFAULT_PRIMARY_MODELS
    outside_requests: str = "primary"
    unexpected_writes: str = "warn"
    balancer: str = "random"
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    primary_wait: float = 0.0
    debug_header: str | None = None
    schemas: SchemasConfig | None = None

    @property
    def replica_aliases(self) -> tuple[str, ...]:
        """The aliases of the replicas, in the order of the settings."""
        return tuple(replica.alias for replica in self.replicas)

    @property
    def balanced_aliases(self) -> frozenset[str]:
        """The replicas' aliases that are more than one server."""
        return frozenset(replica.alias for replica in self.replicas if replica.balanced)

    @property
    def aliases(self) -> frozenset[str]:
        """Every alias of the cluster."""
        return frozenset((self.primary, *self.replica_aliases))


def raw() -> Any:
    """Return GMF_ROUTER as the site wrote it; `{}` where it is absent."""
    return getattr(settings, SETTING, {})


@lru_cache(maxsize=1)
def entries() -> tuple[ClusterConfig, ...]:
    """Return every entry of GMF_ROUTER, those without replicas too.

    Raises ImproperlyConfigured with the first problem that `manage.py check` would report.
    """
    found = raw()
    for problem in problems.found_in(found, settings.DATABASES):
        raise ImproperlyConfigured(f"{problem.message} {problem.hint} ({problem.id})")
    return tuple(parse(primary, entry) for primary, entry in found.items())


@lru_cache(maxsize=1)
def clusters() -> tuple[ClusterConfig, ...]:
    """Return the clusters that have replicas; none where nothing is configured. Raises what `entries` does."""
    return tuple(cluster for cluster in entries() if cluster.replicas)


def names_schemas() -> bool:
    """Return whether an entry of GMF_ROUTER has SCHEMAS, right or wrong."""
    found = raw()
    return isinstance(found, Mapping) and any(
        isinstance(entry, Mapping) and entry.get("SCHEMAS") for entry in found.values()
    )


@lru_cache(maxsize=32)
def schemas_of(alias: str) -> SchemasConfig | None:
    """Return the schemas of the cluster that `alias` belongs to, None where it has none. Raises what `entries` does."""
    return next((entry.schemas for entry in entries() if alias in entry.aliases), None)


def parse(primary: str, entry: Mapping[str, Any]) -> ClusterConfig:
    """Turn one valid entry of GMF_ROUTER into a ClusterConfig."""
    values: dict[str, Any] = {key.lower(): value for key, value in entry.items()}
    values["replicas"] = _replicas(values.get("replicas") or ())
    chooser = values.pop("db_chooser", None) or {}
    values["master"] = (*chooser.get("master", ()), *chooser.get("primary", ()))
    values["slave"] = (*chooser.get("slave", ()), *chooser.get("replica", ()))
    if "read_methods" in values:
        values["read_methods"] = frozenset(method.upper() for method in values["read_methods"])
    if values.get("apps") is not None:
        values["apps"] = frozenset(values["apps"])
    if "primary_models" in values:
        values["primary_models"] = tuple(values["primary_models"])
    values["consistency"] = ConsistencyConfig(**_lower(values.get("consistency")))
    values["health"] = HealthConfig(**_lower(values.get("health")))
    values["schemas"] = _schemas(values.get("schemas"))
    return ClusterConfig(primary=primary, **values)


def _replicas(replicas: Any) -> tuple[ReplicaConfig, ...]:
    if isinstance(replicas, Mapping):
        return tuple(ReplicaConfig(alias=alias, **_lower(options)) for alias, options in replicas.items())
    return tuple(ReplicaConfig(alias=alias) for alias in replicas)


def _schemas(schemas: Mapping[str, Any] | None) -> SchemasConfig | None:
    if not schemas:
        return None
    values = _lower(schemas)
    if "static_apps" in values:
        values["static_apps"] = frozenset(values["static_apps"])
    return SchemasConfig(**values)


def _lower(mapping: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key.lower(): value for key, value in (mapping or {}).items()}


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: Any) -> None:  # noqa: ARG001
    if setting in {SETTING, "DATABASES"}:
        entries.cache_clear()
        clusters.cache_clear()
        schemas_of.cache_clear()
