"""How do Django's migrations land in the schema of their app, each schema with its own history?

Django keeps one history and has no place to say where. What it does for one app is wrapped here, to be done with the
search_path of that app: then all its commands and the test runner see two histories as one, and write each its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command
from django.db import DatabaseError, OperationalError, connections, transaction
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.test import utils

from django_gmf_router.postgres.names import quote, search_path
from django_gmf_router.schemas.session import is_held, schemas_locked
from django_gmf_router.settings import configuration
from django_gmf_router.settings.sections import SchemasConfig

CREATE_EXTENSION = re.compile(r"\s*CREATE\s+EXTENSION\b[^;]*;?\s*", re.IGNORECASE)
_prepared: ContextVar[bool] = ContextVar("gmf_schemas_prepared", default=False)


@contextmanager
def on_path(connection: Any, *schemas: str) -> Iterator[None]:
    """Let the session of `connection` look for names in `schemas` until the block ends."""
    before = _set_path(connection, search_path(*schemas), local=False)
    try:
        yield
    except BaseException:
        # A transaction that failed takes its SET back by itself, and lets nothing be set.
        with suppress(DatabaseError):
            _set_path(connection, before, local=False)
        raise
    _set_path(connection, before, local=False)


@contextmanager
def in_schema(connection: Any, schema: str) -> Iterator[None]:
    """Let one transaction look for names in `schema` alone.

    Commands that only look at the history may come through a pooler: a session that it gives to others next must not
    keep this.
    """
    with transaction.atomic(using=connection.alias):
        before = _set_path(connection, search_path(schema), local=True)
        yield
        _set_path(connection, before, local=True)


def _set_path(connection: Any, path: str, *, local: bool) -> str:
    """Set the search_path; return the one before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('search_path')")
        before: str = cursor.fetchone()[0]
        cursor.execute("SELECT set_config('search_path', %s, %s)", [path, local])
        return before


@contextmanager
def as_app(connection: Any, app_label: str) -> Iterator[None]:
    """Let a migration of an app find and make its tables in its own schema."""
    schemas = schemas_of(connection)
    with ExitStack() as stack:
        if schemas is not None:
            stack.enter_context(on_path(connection, *schemas.path_of(app_label)))
            stack.enter_context(connection.execute_wrapper(_create_extension_in(schemas.extensions)))
        yield


def _create_extension_in(schema: str) -> Callable[..., Any]:
    """Make a wrapper of statements that keeps extensions out of main, with which they would be replaced.

    Not by a SCHEMA clause: some extensions have a schema of their own, and refuse another.
    """

    def run(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if not (isinstance(sql, str) and CREATE_EXTENSION.fullmatch(sql)):
            return execute(sql, params, many, context)
        with on_path(context["connection"], schema):
            return execute(sql, params, many, context)

    return run


def schemas_of(connection: Any) -> SchemasConfig | None:
    """Return the schemas that a connection wrapper migrates; SQLite has none."""
    return configuration.schemas_of(connection.alias) if connection.vendor == "postgresql" else None


@contextmanager
def prepared(alias: str, waiting: Any) -> Iterator[None]:
    """Lock the schemas of the database of `alias`, then create what is missing; `waiting` is told of another's lock."""
    session = connections.create_connection(alias)
    try:
        session.ensure_connection()
    except OperationalError as error:
        raise CommandError(f"The alias {alias!r} cannot be connected to: {_first_line(error)}") from error
    try:
        with schemas_locked(session, waiting=waiting):
            create_missing(connections[alias])
            token = _prepared.set(True)
            try:
                yield
            finally:
                _prepared.reset(token)
            # Whoever waited for the lock may have begun when it was lost: what he did stands between ours.
            if not is_held(session):
                raise CommandError(
                    "The migrations were applied, but the connection with the lock of the schemas was lost meanwhile: "
                    "look whether another gmf_migrate or clone_schema ran, and clone again."
                )
    finally:
        session.close()


def create_missing(connection: Any) -> None:
    """Create the schemas that are missing, and what the engine needs in a database: PostGIS among the extensions."""
    schemas: Any = schemas_of(connection)
    with connection.cursor() as cursor:
        for schema in schemas.path:
            # Asked first: IF NOT EXISTS wants the right to create a schema that is there.
            cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
            if cursor.fetchone() is None:
                _create(cursor, schema)
    try:
        with on_path(connection, schemas.extensions):
            connection.prepare_database()
    except DatabaseError as error:
        raise CommandError(
            f"What the engine of {connection.alias!r} needs cannot be created ({_first_line(error)}): "
            f"let an administrator create the extension in the schema {schemas.extensions!r}."
        ) from error


def _create(cursor: Any, schema: str) -> None:
    try:
        cursor.execute(f"CREATE SCHEMA {quote(schema)}")
    except DatabaseError as error:
        reason = _first_line(error)
        raise CommandError(
            f"The schema {schema!r} cannot be created ({reason}): let an administrator create it, owned by this role."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def begin_migrate(alias: str) -> None:
    """Refuse a plain `migrate` of a cluster with schemas, before it changes anything; a test database is prepared."""
    connection = connections[alias]
    if _prepared.get() or schemas_of(connection) is None:
        return
    in_tests = hasattr(utils._TestState, "saved_data")
    if not in_tests and not str(connection.settings_dict["NAME"]).startswith(TEST_DATABASE_PREFIX):
        raise CommandError(f"GMF_ROUTER[{alias!r}] has SCHEMAS: run gmf_migrate --database={alias}, instead.")
    create_missing(connection)


def install() -> None:
    """Wrap what Django does, once; a connection of a cluster without schemas is passed through."""
    if hasattr(MigrationRecorder.applied_migrations, "__wrapped__"):
        return
    for owner, name, wrapper in WRAPPERS:
        original = getattr(owner, name)
        setattr(owner, name, wrapper(original))
        getattr(owner, name).__wrapped__ = original


def _applied(original: Any) -> Any:
    def applied_migrations(recorder: Any) -> Any:
        """Return both histories as one; of each only the apps that it is the history of."""
        connection = recorder.connection
        schemas = schemas_of(connection)
        if schemas is None:
            return original(recorder)
        found = {}
        for schema in (schemas.static, schemas.main):
            with in_schema(connection, schema):
                rows = original(MigrationRecorder(connection))
            found.update({key: row for key, row in rows.items() if schemas.schema_of(key[0]) == schema})
        return found

    return applied_migrations


def _record(original: Any) -> Any:
    def record(recorder: Any, app: str, name: str) -> None:
        """Write the history of the app's schema, whose table is made if need be."""
        connection = recorder.connection
        schemas = schemas_of(connection)
        if schemas is None:
            original(recorder, app, name)
            return
        with in_schema(connection, schemas.schema_of(app)):
            # A new one: it remembers that it saw a table, and this one may have seen the other schema's.
            original(MigrationRecorder(connection), app, name)

    return record


def _apply(original: Any) -> Any:
    def apply(executor: Any, state: Any, migration: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply or unapply a migration, its deferred statements too, on the path of its app."""
        with as_app(executor.connection, migration.app_label):
            return original(executor, state, migration, *args, **kwargs)

    return apply


def _sync(original: Any) -> Any:
    def sync_apps(command: Any, connection: Any, app_labels: Iterable[str]) -> None:
        """Make the tables of apps without migrations; those of static first, to which main may refer."""
        schemas = schemas_of(connection)
        if schemas is None:
            original(command, connection, app_labels)
            return
        static = set(app_labels) & schemas.static_apps
        for labels in filter(None, (static, set(app_labels) - static)):
            with as_app(connection, next(iter(labels))):
                original(command, connection, labels)

    return sync_apps


WRAPPERS: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    (MigrationRecorder, "applied_migrations", _applied),
    (MigrationRecorder, "record_applied", _record),
    (MigrationRecorder, "record_unapplied", _record),
    (MigrationExecutor, "apply_migration", _apply),
    (MigrationExecutor, "unapply_migration", _apply),
    (Command, "sync_apps", _sync),
)
