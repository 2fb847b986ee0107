"""What has to be there before a database with schemas is migrated?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError, OperationalError, connections
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.test import utils

from django_gmf_router.postgres.names import quote
from django_gmf_router.schemas.lock import schemas_locked
from django_gmf_router.schemas.migrating import on_path, schemas_of

_prepared: ContextVar[bool] = ContextVar("gmf_schemas_prepared", default=False)


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
    finally:
        session.close()


def create_missing(connection: Any) -> None:
    """Create the schemas that are missing, and what the engine needs in a database: PostGIS among the extensions."""
    schemas: Any = schemas_of(connection)
    with connection.cursor() as cursor:
        for schema in schemas.path:
            _create(cursor, schema)
    with on_path(connection, schemas.extensions):
        connection.prepare_database()


def _create(cursor: Any, schema: str) -> None:
    # Asked first: IF NOT EXISTS wants the right to create a schema that is there.
    cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
    if cursor.fetchone() is not None:
        return
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
    if not _is_for_tests(connection):
        raise CommandError(f"GMF_ROUTER[{alias!r}] has SCHEMAS: run gmf_migrate --database={alias}, instead.")
    create_missing(connection)


def _is_for_tests(connection: Any) -> bool:
    in_tests = hasattr(utils._TestState, "saved_data")
    return in_tests or str(connection.settings_dict["NAME"]).startswith(TEST_DATABASE_PREFIX)
