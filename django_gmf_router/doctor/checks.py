"""Which settings are wrong, and which are legal but risky? Django's system checks of this package."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.core.exceptions import ImproperlyConfigured
from django.db.utils import load_backend
from django.utils.module_loading import import_string

from django_gmf_router.backends.session_state import SessionStateMixin
from django_gmf_router.routing.db_chooser import shadows
from django_gmf_router.settings import configuration, values
from django_gmf_router.settings.values import ClusterConfig

MIDDLEWARE = "django_gmf_router.middleware.RoutingMiddleware"
ROUTER = "django_gmf_router.routers.PrimaryReplicaRouter"
POSTGRESQL_ENGINES = {
    "django.db.backends.postgresql": "django_gmf_router.backends.postgresql",
    "django.contrib.gis.db.backends.postgis": "django_gmf_router.backends.postgis",
}

CACHE_BACKENDS = "django.core.cache.backends."
# One per process, and none at all.
UNSHARED_CACHES = {f"{CACHE_BACKENDS}locmem.LocMemCache", f"{CACHE_BACKENDS}dummy.DummyCache"}
# What of OPTIONS says to libpq where to connect to; `options` and time-outs do not.
TARGET_OPTIONS = ("host", "hostaddr", "port", "service", "dbname", "target_session_attrs")
# The newest one that is tested: private names of Django are read, see docs/explanation/limits.md.
NEWEST_DJANGO = (6, 1)
ANY_PAGES = ("GET /", "GET /any/page/")  # nobody names the second one on purpose


def check_errors(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Report every wrong value of GMF_ROUTER."""
    return [Error(problem.message, hint=problem.hint, id=problem.id) for problem in configuration.problems()]


def check_warnings(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Report what is legal but risky; nothing where the settings are wrong or no cluster has replicas."""
    try:
        clusters = configuration.clusters()
    except ImproperlyConfigured:
        return []
    return [message for cluster in clusters for rule in RULES for message in rule(cluster)]


Rule = Callable[[ClusterConfig], Iterator[CheckMessage]]
RULES: list[Rule] = []


def _rule(rule: Rule) -> Rule:
    # Where a rule stands is where it is listed: none is forgotten.
    RULES.append(rule)
    return rule


@_rule
def _middleware_first(_cluster: ClusterConfig) -> Iterator[CheckMessage]:
    if MIDDLEWARE not in settings.MIDDLEWARE:
        message = "MIDDLEWARE lacks the routing middleware: every query of a request is routed as outside requests."
        yield _warning("W001", message, f"Add {MIDDLEWARE!r} as its first entry.")
    elif settings.MIDDLEWARE[0] != MIDDLEWARE:
        message = (
            "The routing middleware is not the first of MIDDLEWARE: what those before it read is outside requests."
        )
        yield _warning("W001", message, f"Move {MIDDLEWARE!r} to the first place.")


@_rule
def _stock_engine(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    for alias in sorted(cluster.aliases):
        engine = _database(alias).get("ENGINE")
        if engine in POSTGRESQL_ENGINES:
            message = f"DATABASES[{alias!r}] uses Django's own ENGINE: no connect time-out, no move to another node."
            yield _warning("W002", message, f"Use {POSTGRESQL_ENGINES[engine]!r}.")


@_rule
def _mirror(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    for alias in cluster.replica_aliases:
        if (_database(alias).get("TEST") or {}).get("MIRROR") != cluster.primary:
            message = f"DATABASES[{alias!r}] is no mirror in tests: a TestCase would not see its own rows there."
            yield _warning("W003", message, f"Set DATABASES[{alias!r}]['TEST'] = {{'MIRROR': {cluster.primary!r}}}.")


@_rule
def _primary_is_default(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    if cluster.primary != "default":
        message = (
            f"The primary's alias is {cluster.primary!r}: atomic() and on_commit() without `using` mean 'default'."
        )
        yield _warning("W004", message, f"Name `using={cluster.primary!r}` there, or call the primary 'default'.")


@_rule
def _shadowed(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    patterns = [("master", pattern) for pattern in cluster.master] + [("slave", pattern) for pattern in cluster.slave]
    for index, (key, pattern) in enumerate(patterns):
        shadowing = [each for each in patterns[:index] if shadows(each[1], pattern)]
        for other_key, other in shadowing[:1]:
            message = f"DB_CHOOSER[{key!r}]: {pattern!r} never decides: {other!r} of {other_key!r} matches before it."
            yield _warning("W005", message, "Remove it, or make the other one narrower.")


@_rule
def _get_without_head(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    for pattern in cluster.master:
        if pattern.startswith("GET ") and f"HEAD {pattern[4:]}" not in cluster.master:
            message = f"DB_CHOOSER['master']: {pattern!r} leaves HEAD to the replicas, and HEAD runs the same view."
            yield _warning("W006", message, f'Write r"(GET|HEAD) {pattern[4:]}".')


@_rule
def _atomic_requests(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    for alias in cluster.replica_aliases:
        if _database(alias).get("ATOMIC_REQUESTS"):
            message = f"DATABASES[{alias!r}] has ATOMIC_REQUESTS: each request opens a transaction there, a POST too."
            yield _warning(
                "W007",
                message,
                "Remove it: a dead replica would fail them all, and no read could be retried.",
            )


@_rule
def _router_installed(_cluster: ClusterConfig) -> Iterator[CheckMessage]:
    if ROUTER not in settings.DATABASE_ROUTERS:
        message = "GMF_ROUTER names replicas, but DATABASE_ROUTERS lacks the router: nothing is routed."
        yield _warning("W008", message, f"Add {ROUTER!r}.")


@_rule
def _sessions_on_primary(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    in_database = settings.SESSION_ENGINE.endswith((".db", ".cached_db"))
    covered = {"sessions.*", "sessions.session"} & {*cluster.primary_models}
    if "django.contrib.sessions" in settings.INSTALLED_APPS and in_database and not covered:
        message = "PRIMARY_MODELS leaves out the sessions: a login may be gone on the next page, a logout undone."
        yield _warning("W009", message, 'Add "sessions.*"; the setting replaces its default.')


@_rule
def _names_nothing(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    installed = {config.label for config in apps.get_app_configs()}
    models = {model._meta.label_lower for model in apps.get_models(include_auto_created=True)}
    for app in sorted((cluster.apps or set()) - installed):
        yield _warning("W010", f"APPS names {app!r}, which is no installed app.", "Correct the app label.")
    known = {*models, *(f"{label.lower()}.*" for label in installed), *values.DEFAULT_PRIMARY_MODELS}
    for key, labels in (("PRIMARY_MODELS", cluster.primary_models), ("REPLICA_MODELS", cluster.replica_models or ())):
        for label in sorted({*labels} - known):
            yield _warning("W010", f"{key} names {label!r}, which is not installed.", "Correct the name.")


@_rule
def _chooser_not_found(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    try:
        chooser = import_string(cluster.chooser) if cluster.chooser else None
    except ImportError as error:
        yield _error("E024", f"CHOOSER is {cluster.chooser!r}: {error}.", "Correct the dotted path.")
    else:
        if cluster.chooser and not callable(chooser):
            yield _error("E024", f"CHOOSER is {cluster.chooser!r}, which is no function.", "Correct the dotted path.")


@_rule
def _token_outlived_by_lag(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    max_age, max_lag = cluster.consistency.max_age, cluster.health.max_lag
    if cluster.consistency.level == "session" and max_age <= max_lag:
        message = (
            f"CONSISTENCY['MAX_AGE'] is {max_age} and HEALTH['MAX_LAG'] {max_lag} seconds: "
            "a replica may serve a client that has no token any more, and lack what it wrote."
        )
        yield _warning("W011", message, "Make MAX_AGE longer than MAX_LAG.")


@_rule
def _tokens_not_shared(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    backend = token_backend()
    is_kept = cluster.consistency.level == "session" and cluster.consistency.store == "cache"
    if is_kept and backend in UNSHARED_CACHES:
        message = (
            f"CONSISTENCY['STORE'] is 'cache', and the default cache is {backend.rpartition('.')[2]}: "
            "a client does not see its own writes when another process answers."
        )
        yield _warning("W012", message, "Use a cache that all processes share, such as Redis, or another STORE.")


def token_backend() -> str:
    """Return the backend of the cache in which STORE "cache" keeps the tokens."""
    return str(settings.CACHES.get("default", {}).get("BACKEND", ""))


@_rule
def _cookie_not_taken(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    consistency = cluster.consistency
    if consistency.level != "session" or consistency.store != "cookie":
        return
    same_site = consistency.cookie_samesite or settings.SESSION_COOKIE_SAMESITE
    if same_site == "None" and not settings.SESSION_COOKIE_SECURE:
        message = "The token's cookie has SameSite=None and may lack Secure: browsers drop it then."
        yield _warning("W019", message, "Set SESSION_COOKIE_SECURE = True, which holds for it too.")
    domain = (consistency.cookie_domain or settings.SESSION_COOKIE_DOMAIN or "").lstrip(".")
    hosts = [host.lstrip(".") for host in settings.ALLOWED_HOSTS]
    if domain and hosts and not any(host == "*" or f".{host}".endswith(f".{domain}") for host in hosts):
        message = f"The token's cookie is for {domain!r}, and no host of ALLOWED_HOSTS is there: browsers drop it."
        yield _warning("W019", message, "Correct COOKIE_DOMAIN or SESSION_COOKIE_DOMAIN, or leave them out.")


@_rule
def _cookie_of_another(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    if cluster.consistency.level != "session" or cluster.consistency.store != "cookie":
        return
    for setting in ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "LANGUAGE_COOKIE_NAME"):
        if getattr(settings, setting) == cluster.consistency.cookie_name:
            message = f"CONSISTENCY['COOKIE_NAME'] is {cluster.consistency.cookie_name!r}, as {setting} is."
            yield _warning("W020", message, "Name it otherwise: each of the two overwrites the other.")


@_rule
def _replica_is_primary(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    # Other databases do not tell a primary from a replica, and two aliases of one SQLite file are a way to develop.
    if _database(cluster.primary).get("ENGINE") not in {*POSTGRESQL_ENGINES, *POSTGRESQL_ENGINES.values()}:
        return
    for alias in cluster.replica_aliases:
        if _target(alias) == _target(cluster.primary):
            message = f"DATABASES[{alias!r}] connects to its primary {cluster.primary!r}: it gets no reads."
            yield _warning("W013", message, "Name the replica's HOST and PORT, or take the alias out of REPLICAS.")


@_rule
def _hosts_not_balanced(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    for alias in sorted({*cluster.replica_aliases} - cluster.balanced_aliases):
        if "," in str(_database(alias).get("HOST")):
            message = (
                f"DATABASES[{alias!r}] has a list of hosts and is not BALANCED: "
                "what one of its servers has replayed would be taken for what another has."
            )
            hint = f"Set GMF_ROUTER[{cluster.primary!r}]['REPLICAS'] = {{{alias!r}: {{'BALANCED': True}}}}."
            yield _warning("W015", message, hint)


@_rule
def _tenant_not_followed(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    # Its app does not start without its router.
    if not any(str(router).startswith("django_tenants.") for router in settings.DATABASE_ROUTERS):
        return
    for alias in cluster.replica_aliases:
        backend = load_backend(_database(alias)["ENGINE"]).DatabaseWrapper
        if not (issubclass(backend, SessionStateMixin) and hasattr(backend, "set_tenant")):
            message = f"DATABASES[{alias!r}] does not follow the tenant of {cluster.primary!r}: reads see wrong rows."
            yield _warning("W016", message, "Use an ENGINE of ReplicaConnectionMixin over django-tenants' backend.")


def _target(alias: str) -> list[str]:
    database = _database(alias)
    options = database.get("OPTIONS") or {}
    named = (database.get("HOST"), database.get("PORT") or 5432, database.get("NAME"))
    return [str(value or "") for value in (*named, *(options.get(key) for key in TARGET_OPTIONS))]


@_rule
def _everything_on_primary(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    for pattern in cluster.master:
        if all(re.match(pattern, page) for page in ANY_PAGES):
            message = f"DB_CHOOSER['master']: {pattern!r} matches every page: the replicas get no reads."
            hint = "Name only the pages that need it: after a write a request reads from the primary by itself."
            yield _warning("W014", message, hint)


@_rule
def _empty_default_pool(cluster: ClusterConfig) -> Iterator[CheckMessage]:
    if not cluster.tiers(None):
        message = f"Each replica of {cluster.primary!r} has a POOL: all other reads go to the primary."
        yield _warning("W017", message, "Leave one without POOL, which serves them.")


@_rule
def _untested_django(_cluster: ClusterConfig) -> Iterator[CheckMessage]:
    if django.VERSION[:2] > NEWEST_DJANGO:
        found, newest = (".".join(map(str, version[:2])) for version in (django.VERSION, NEWEST_DJANGO))
        message = f"Django {found} is newer than {newest}, the newest that is tested."
        yield _warning("W030", message, "Upgrade django-gmf-router, or run the tests of your site, then silence this.")


def _database(alias: str) -> Mapping[str, Any]:
    database: Any = settings.DATABASES[alias]
    return database  # type: ignore[no-any-return]


def _error(check: str, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"gmf_router.{check}")


def _warning(check: str, message: str, hint: str) -> CheckMessage:
    return Warning(message, hint=hint, id=f"gmf_router.{check}")
