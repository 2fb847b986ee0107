"""Which settings, models and servers do not fit the schemas of a cluster? Django's system checks of this room."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from django_gmf_router.postgres.libpq import parse, search_path_in, with_search_path
from django_gmf_router.settings import configuration, sections
from django_gmf_router.settings.sections import SchemasConfig
from django_gmf_router.settings.values import ClusterConfig

Found = Iterator[CheckMessage]

TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p')
"""


def check_settings(**kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Report what can be known without a server."""
    try:
        entries = [entry for entry in configuration.entries() if entry.schemas]
    except ImproperlyConfigured:
        return []
    return [message for entry in entries for rule in RULES for message in rule(entry, _schemas(entry))]


def check_server(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Report what a server says: `check --database ALIAS`."""
    try:
        found = {alias: schemas for alias in databases or () if (schemas := configuration.schemas_of(alias))}
    except ImproperlyConfigured:
        return []
    postgresql = {alias: schemas for alias, schemas in found.items() if connections[alias].vendor == "postgresql"}
    return list(chain.from_iterable(_server(alias, schemas) for alias, schemas in postgresql.items()))


def _schemas(entry: ClusterConfig) -> SchemasConfig:
    if entry.schemas is None:
        raise ValueError(entry)
    return entry.schemas


def _static_app_not_installed(entry: ClusterConfig, schemas: SchemasConfig) -> Found:
    installed = {config.label for config in apps.get_app_configs()}
    for app in sorted(schemas.static_apps - installed - sections.DEFAULT_STATIC_APPS):
        yield _error(
            "E014",
            f"GMF_ROUTER[{entry.primary!r}]['SCHEMAS']['STATIC_APPS'] names {app!r}, which is no installed app.",
            "Correct the app label: the tables of an app that is not named land in the main schema.",
        )


def _search_path(entry: ClusterConfig, schemas: SchemasConfig) -> Found:
    for alias in (entry.primary, *entry.replica_aliases):
        connection = connections[alias]
        if connection.vendor == "postgresql":
            path = search_path_in(connection.get_connection_params().get("options"))
            yield from _other_options(alias, schemas, path)
        else:
            message = f"DATABASES[{alias!r}] is no PostgreSQL database, which has schemas."
            yield _error("E021", message, "Use PostgreSQL, or leave SCHEMAS out of GMF_ROUTER.")


def _other_options(alias: str, schemas: SchemasConfig, path: tuple[str, ...] | None) -> Found:
    if path == schemas.path:
        return
    names = "no search_path" if path is None else f"the search_path {', '.join(path)}"
    yield _error(
        "E015",
        f"The OPTIONS of DATABASES[{alias!r}] have {names} instead of {', '.join(schemas.path)}.",
        "Use an ENGINE of this package and leave it out, or set OPTIONS: "
        f"{{'options': {with_search_path(None, schemas.path)!r}}}.",
    )


def _static_refers_to_main(_entry: ClusterConfig, schemas: SchemasConfig) -> Found:
    for model in apps.get_models():
        if model._meta.app_label not in schemas.static_apps or model._meta.proxy or not model._meta.managed:
            continue
        for field, target in _constraints(model):
            if target.app_label not in schemas.static_apps:
                yield _error(
                    "E016",
                    f"The field {model._meta.label}.{field.name} of the static schema refers to {target.label} "
                    "of the main schema, which could not be replaced then.",
                    f"Add {target.app_label!r} to STATIC_APPS, or set db_constraint=False on the field.",
                )


def _constraints(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the fields of `model` that make a foreign key, and the `_meta` of the models that it refers to."""
    for field in model._meta.local_fields:
        if field.remote_field and getattr(field, "db_constraint", False):
            yield field, field.remote_field.model._meta
    for field in model._meta.local_many_to_many:
        relation = field.remote_field
        # A table of its own in between has its fields checked.
        if relation.through._meta.auto_created and relation.db_constraint:
            yield field, relation.model._meta


def _static_migration_after_main(_entry: ClusterConfig, schemas: SchemasConfig) -> Found:
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    edges = {(key, parent) for key, node in loader.disk_migrations.items() for parent in node.dependencies}
    edges |= {(child, key) for key, node in loader.disk_migrations.items() for child in node.run_before}
    static = schemas.static_apps
    for child, parent in sorted((tuple(child), tuple(parent)) for child, parent in edges):
        if child[0] in static and parent[0] not in static:
            yield _error(
                "E017",
                f"The migration {'.'.join(child)} of the static schema depends on {'.'.join(parent)} of the main one.",
                f"Add {parent[0]!r} to STATIC_APPS, or remove the dependency: another server has another main schema.",
            )


def _server(alias: str, schemas: SchemasConfig) -> Found:
    ((configured, usable),) = _ask(alias, "SELECT current_setting('search_path'), current_schemas(false)::text[]")
    if parse(configured) != schemas.path:
        yield from _other_path(alias, schemas, configured)
        return
    yield from _missing(alias, schemas, connections[alias].settings_dict["NAME"], usable)
    for schema in (schemas.main, schemas.static):
        yield from _misplaced(alias, schemas, schema, {name for (name,) in _ask(alias, TABLES, schema)})


def _ask(alias: str, sql: str, *params: str) -> list[Any]:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _other_path(alias: str, schemas: SchemasConfig, configured: str) -> Found:
    yield _error(
        "E018",
        f"The sessions of {alias!r} have the search_path {configured} instead of {', '.join(schemas.path)}.",
        "Let the pooler in between pass the startup parameter `options`, or give this search_path to a role that "
        "no other server uses.",
    )


def _missing(alias: str, schemas: SchemasConfig, database: str, usable: Collection[str]) -> Found:
    for name in schemas.path:
        if name not in usable:
            yield _error(
                "E019",
                f"The schema {name!r} is missing from the database {database!r} of {alias!r}, or not granted.",
                "Run gmf_migrate, or grant USAGE on the schema to the role.",
            )


def _misplaced(alias: str, schemas: SchemasConfig, schema: str, tables: Collection[str]) -> Found:
    for model in apps.get_models(include_auto_created=True):
        table, app = model._meta.db_table, model._meta.app_label
        if table in tables and schemas.schema_of(app) != schema:
            yield _error(
                "E020",
                f"The table {table!r} of the app {app!r} stands in the schema {schema!r} of {alias!r}; "
                f"the app belongs to {schemas.schema_of(app)!r}.",
                "Move it there, drop it, or correct STATIC_APPS: sessions see the one in the main schema.",
            )


def _error(check: str, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"gmf_router.{check}")


RULES: tuple[Callable[[ClusterConfig, SchemasConfig], Found], ...] = (
    _static_app_not_installed,
    _search_path,
    _static_refers_to_main,
    _static_migration_after_main,
)
