"""What has this site configured, and what is wrong in it? GMF_ROUTER, parsed once, and anew when it changes.

Each value is looked at by itself first, then how they fit together: one small function per rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from types import NoneType
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from django_gmf_router.settings.kinds import COLLECTIONS, Kind, Problem, problem, section
from django_gmf_router.settings.sections import DEFAULT_STATIC_APPS, SchemasConfig
from django_gmf_router.settings.values import ClusterConfig, parse

SETTING = "GMF_ROUTER"
CLUSTER = section(ClusterConfig)


def problems() -> Iterator[Problem]:
    """Yield every problem of GMF_ROUTER; none where it is absent."""
    return found_in(getattr(settings, SETTING, {}), settings.DATABASES)


@lru_cache(maxsize=1)
def entries() -> tuple[ClusterConfig, ...]:
    """Return every entry of GMF_ROUTER, those without replicas too.

    Raise ImproperlyConfigured with the first problem that `manage.py check` would report.
    """
    for first in problems():
        raise ImproperlyConfigured(f"{first.message} {first.hint} ({first.id})")
    return tuple(parse(primary, entry) for primary, entry in getattr(settings, SETTING, {}).items())


@lru_cache(maxsize=1)
def clusters() -> tuple[ClusterConfig, ...]:
    """Return the clusters that route: with replicas, or in a DRY_RUN. Raise what `entries` does."""
    return tuple(cluster for cluster in entries() if cluster.replicas or cluster.dry_run)


def cluster_of_app(app_label: str) -> ClusterConfig | None:
    """Return the cluster that holds the models of an app: that which names it, or else that which holds all others."""
    named = (cluster for cluster in clusters() if app_label in (cluster.apps or ()))
    return next(named, next((cluster for cluster in clusters() if cluster.apps is None), None))


# Asked for each new connection.
@lru_cache(maxsize=32)
def schemas_of(alias: str) -> SchemasConfig | None:
    """Return the schemas of the cluster that `alias` belongs to, None where it has none. Raise what `entries` does."""
    return next((entry.schemas for entry in entries() if alias in entry.aliases), None)


def has_pool(name: str) -> bool:
    """Return whether a replica serves the pool `name`, or none any: where one develops there may be no pools."""
    pools = {replica.pool for cluster in clusters() for replica in cluster.replicas} - {None}
    return not pools or name in pools


def names_schemas() -> bool:
    """Return whether an entry has SCHEMAS; False where GMF_ROUTER is wrong: then no connection is opened."""
    try:
        return any(entry.schemas for entry in entries())
    except ImproperlyConfigured:
        return False


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: Any) -> None:  # noqa: ARG001
    if setting in {SETTING, "DATABASES"}:
        entries.cache_clear()
        clusters.cache_clear()
        schemas_of.cache_clear()


# What is wrong


def found_in(raw: Any, databases: Collection[str]) -> Iterator[Problem]:
    """Yield every problem of `raw`, the value of GMF_ROUTER; `databases` are the aliases that there are."""
    wrong = list(_no_dicts(raw)) or list(_wrong_values(raw))
    if not wrong:
        clusters = [parse(primary, entry) for primary, entry in raw.items()]
        wrong = [each for rule in RULES for each in rule(clusters, databases)]
    yield from wrong


def _no_dicts(raw: Any) -> Iterator[Problem]:
    if not isinstance(raw, Mapping):
        yield problem("E001", f"GMF_ROUTER is {raw!r}.", "Make it a dict: primary alias -> settings of its cluster.")
        return
    for primary, entry in raw.items():
        if not isinstance(entry, Mapping):
            yield problem("E001", f"GMF_ROUTER[{primary!r}] is {entry!r}.", "Make it a dict of settings.")


def _wrong_values(raw: Mapping[str, Any]) -> Iterator[Problem]:
    for primary, entry in raw.items():
        for where, kind, value in _values(f"GMF_ROUTER[{primary!r}]", CLUSTER, entry):
            yield from _wrong_value(where, kind, value)


def _values(where: str, kind: Kind | None, value: Any) -> Iterator[tuple[str, Kind | None, Any]]:
    """Yield a value and all that it holds: where each stands and what it may be, None for what is no setting."""
    yield where, kind, value
    if kind and kind.inner and isinstance(value, Mapping):
        for name, held in value.items():
            yield from _values(f"{where}[{name!r}]", kind.inner(name), held)


def _wrong_value(where: str, kind: Kind | None, value: Any) -> Iterator[Problem]:
    if kind is None:
        yield problem("E002", f"{where} is no setting.", "Remove it, or see the settings reference for its spelling.")
    elif hint := _wrong_type(kind, value):
        yield problem("E007", f"{where} is {value!r}.", hint)
    elif value is not None:
        yield from kind.rule(where, value)


def _wrong_type(kind: Kind, value: Any) -> str | None:
    """Return what the type must be; every item of every list is a str."""
    if not isinstance(value, kind.types) or (isinstance(value, bool) and bool not in kind.types):
        return f"Its type must be {' or '.join('None' if one is NoneType else one.__name__ for one in kind.types)}."
    if isinstance(value, COLLECTIONS) and not all(isinstance(item, str) for item in value):
        return "Each item must be a str."
    return None


ClusterRule = Callable[[Sequence[ClusterConfig], Collection[str]], Iterator[Problem]]
RULES: list[ClusterRule] = []


def _rule(rule: ClusterRule) -> ClusterRule:
    # Where a rule stands is where it is listed: none is forgotten.
    RULES.append(rule)
    return rule


@_rule
def _unknown_aliases(clusters: Sequence[ClusterConfig], databases: Collection[str]) -> Iterator[Problem]:
    for cluster in clusters:
        for alias in (cluster.primary, *cluster.replica_aliases):
            if alias not in databases:
                message = f"GMF_ROUTER[{cluster.primary!r}] names the alias {alias!r}."
                yield problem("E003", message, f"Add {alias!r} to DATABASES, or correct the name.")


@_rule
def _replica_is_primary(clusters: Sequence[ClusterConfig], _databases: Collection[str]) -> Iterator[Problem]:
    for primary in (cluster.primary for cluster in clusters if cluster.primary in cluster.replica_aliases):
        message = f"GMF_ROUTER[{primary!r}]['REPLICAS'] names the primary {primary!r}."
        yield problem("E004", message, "List replicas only.")


@_rule
def _alias_twice(clusters: Sequence[ClusterConfig], _databases: Collection[str]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for cluster in clusters:
        primary = cluster.primary
        for alias in (primary, *(alias for alias in cluster.replica_aliases if alias != primary)):
            if alias in seen:
                message = f"The alias {alias!r} stands in GMF_ROUTER[{seen[alias]!r}] and GMF_ROUTER[{primary!r}]."
                yield problem("E005", message, "An alias belongs to one cluster, once.")
            seen[alias] = primary


@_rule
def _app_twice(clusters: Sequence[ClusterConfig], _databases: Collection[str]) -> Iterator[Problem]:
    seen: dict[str | None, str] = {}
    for cluster in clusters:
        for app in cluster.apps_or_rest if cluster.replicas else ():
            if app in seen:
                what = "all other apps (APPS None)" if app is None else f"the app {app!r}"
                message = f"GMF_ROUTER[{seen[app]!r}] and GMF_ROUTER[{cluster.primary!r}] both claim {what}."
                yield problem("E009", message, "Name each app in the APPS of one cluster.")
            seen[app] = cluster.primary


@_rule
def _pool_without_replica(clusters: Sequence[ClusterConfig], _databases: Collection[str]) -> Iterator[Problem]:
    for cluster in clusters:
        served = {replica.pool for replica in cluster.replicas}
        for name in (name for name, _ in cluster.pools if cluster.replicas and name not in served):
            message = f"GMF_ROUTER[{cluster.primary!r}]['POOLS'] names the pool {name!r}, which no replica has."
            yield problem("E023", message, f"Give a replica the POOL {name!r}, or remove the pool.")


@_rule
def _schemas_equal(clusters: Sequence[ClusterConfig], _databases: Collection[str]) -> Iterator[Problem]:
    for primary, schemas in ((cluster.primary, cluster.schemas) for cluster in clusters if cluster.schemas):
        seen: dict[str, str] = {}
        for name, key in zip(schemas.path, ("MAIN", "STATIC", "EXTENSIONS"), strict=True):
            if name in seen:
                yield problem(
                    "E012",
                    f"GMF_ROUTER[{primary!r}]['SCHEMAS']: {seen[name]} and {key} are both {name!r}.",
                    "Name three different schemas: this server's own, the shared one, and the one of the extensions.",
                )
            seen[name] = key


@_rule
def _static_app_elsewhere(clusters: Sequence[ClusterConfig], _databases: Collection[str]) -> Iterator[Problem]:
    for cluster in clusters:
        named = cluster.schemas.static_apps if cluster.schemas else frozenset()
        # The default also names apps that this site may have elsewhere, or not at all.
        for app in sorted(named if named != DEFAULT_STATIC_APPS else ()):
            for other in clusters:
                if other is not cluster and other.replicas and app in (other.apps or ()):
                    yield problem(
                        "E013",
                        f"GMF_ROUTER[{cluster.primary!r}]['SCHEMAS']['STATIC_APPS'] names {app!r}, "
                        f"an app of {other.primary!r}.",
                        f"Remove it here, or from GMF_ROUTER[{other.primary!r}]['APPS'].",
                    )
