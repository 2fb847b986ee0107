"""Do servers share one database, each with a main schema of its own beside the shared static one?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.postgres.names import quote
from django_gmf_router.schemas.session import KEY
from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.plugin import refuse
from testproject import postgis
from tests.cluster.sites import DRIVERS, ROOT, environment, manage
from tests.unit.docs.running import example
from tests.waiting import until

DATABASE = "schemas"
PAGE = "docs/how-to/integration-and-production.md"
STATIC = 'Static.Für "alle"'  # as hard as a name can be
STATIC_APPS = ["admin", "auth", "contenttypes", "sessions"]
STOCK = "django.db.backends.postgresql"
OPTIONS = """
from django.db import connections
def path(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_schemas(false)::text[], current_setting('transaction_read_only')")
        return cursor.fetchone()
print(json.dumps({alias: path(alias) for alias in connections}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A web server: on the shared database, with a main schema of its own."""

    cluster: LocalCluster
    main: str
    static: str = STATIC
    database: str = DATABASE
    static_apps: list[str] = field(default_factory=lambda: STATIC_APPS)
    variables: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def env(self) -> dict[str, str]:
        schemas = {"MAIN": self.main, "STATIC": self.static, "STATIC_APPS": self.static_apps}
        made = environment(self.cluster, router={"SCHEMAS": schemas}, NAME=self.database, OPTIONS={}, **self.settings)
        return {**made, **self.variables}

    def manage(self, *args: str) -> Any:
        return manage(self.env(), *args)

    def run(self, *args: str) -> str:
        done = self.manage(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    def refused(self, *args: str) -> str:
        """Return what a command that is refused says, below the warnings of the system checks."""
        done = self.manage(*args)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return str(done.stderr.splitlines()[-1])

    def failed_checks(self, *aliases: str) -> list[str]:
        done = self.manage("check", *(f"--database={alias}" for alias in aliases))
        return [line for line in done.stderr.splitlines() if "(gmf_router.E" in line]

    def shell(self, code: str) -> Any:
        return json.loads(self.run("shell", "--verbosity=0", "--command", f"import json\n{code}").splitlines()[-1])

    def sql(self, sql: str) -> list[str]:
        """Return the first column of the rows; {main} and {static} are filled in."""
        filled = sql.format(main=quote(self.main), static=quote(self.static))
        return [str(row[0]) for row in self.cluster.execute("primary", filled, database=self.database)]

    def tables(self, schema: str) -> set[str]:
        return set(self.sql(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'"))

    def history(self, schema: str) -> list[str]:
        return self.sql(
            f"SELECT app || '.' || name FROM {quote(schema).replace('{', '{{')}.django_migrations ORDER BY 1"
        )


@pytest.fixture(scope="module")
def database(_gmf_session_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster with a database of these tests' own."""
    _gmf_session_cluster.execute("primary", f"CREATE DATABASE {DATABASE} OWNER gmf")
    yield _gmf_session_cluster
    _gmf_session_cluster.execute("primary", f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture(scope="module")
def integration(database: LocalCluster) -> Server:
    """The first server, migrated. Its database had a site without schemas before."""
    server = Server(cluster=database, main="Integration")
    history = "CREATE TABLE public.django_migrations (id bigserial, app text, name text, applied timestamptz)"
    server.sql(f"{history}; ALTER TABLE public.django_migrations OWNER TO gmf")
    server.sql("INSERT INTO public.django_migrations (app, name, applied) VALUES ('library', '0001_initial', now())")
    server.run("gmf_migrate")
    database.wait_for_replay()
    return server


def test_each_schema_has_the_tables_and_the_history_of_its_apps(integration: Server) -> None:
    main, static = integration.tables("Integration"), integration.tables(STATIC)
    assert {name.partition("_")[0] for name in main - {"django_migrations"}} == {"library"}
    assert {"auth_user", "django_content_type", "django_session", "django_admin_log"} < static
    assert main & static == {"django_migrations"}
    assert integration.history("Integration") == ["library.0001_initial"]
    assert {row.partition(".")[0] for row in integration.history(STATIC)} == {*STATIC_APPS, "gmf_router"}


def test_content_types_and_permissions_are_in_static_once(integration: Server) -> None:
    labels = integration.sql("SELECT app_label || '.' || model FROM {static}.django_content_type")
    assert len(labels) == len(set(labels)) > 6
    assert "library.tile" in labels
    permissions = integration.sql("SELECT codename FROM {static}.auth_permission WHERE codename LIKE '%_tile'")
    assert sorted(permissions) == ["add_tile", "change_tile", "delete_tile", "view_tile"]


def test_djangos_own_commands_see_one_history(integration: Server) -> None:
    assert "[ ]" not in integration.run("showmigrations")
    assert "No changes" in integration.run("makemigrations", "--check", "--dry-run")
    assert "No planned migration operations" in integration.run("migrate", "--plan")


def test_a_second_server_migrates_its_main_schema_alone(integration: Server) -> None:
    before = integration.history(STATIC)
    production = replace(integration, main="production", variables={"GMF_TEST_DRIVER": "psycopg2"})
    planned = production.run("gmf_migrate", "--plan")
    assert "library.0001_initial" in planned
    assert "auth.0001" not in planned
    assert integration.tables("production") == set()
    done = production.run("gmf_migrate")
    assert [line.split()[1] for line in done.splitlines() if "Applying" in line] == ["library.0001_initial..."]
    assert production.tables("production") == integration.tables("Integration")
    assert integration.history(STATIC) == before
    assert "No migrations to apply" in production.run("gmf_migrate")


def test_a_migration_backwards_leaves_its_own_schema_and_history_only(integration: Server) -> None:
    server = replace(integration, main="backwards")
    server.run("gmf_migrate", "--verbosity=0")
    server.run("gmf_migrate", "library", "zero")
    assert server.tables("backwards") == {"django_migrations"}
    assert server.history("backwards") == []
    assert integration.history("Integration") == ["library.0001_initial"]
    server.run("gmf_migrate", "sessions", "zero")
    assert "django_session" not in server.tables(STATIC)
    assert not [row for row in server.history(STATIC) if row.startswith("sessions")]
    server.run("gmf_migrate", "--fake", "library")
    assert server.history("backwards") == ["library.0001_initial"]
    assert server.tables("backwards") == {"django_migrations"}
    server.run("gmf_migrate", "sessions")
    assert "django_session" in server.tables(STATIC)


def test_the_table_of_a_static_app_without_migrations_is_in_static(integration: Server) -> None:
    modules = json.dumps({"sessions": None})
    server = replace(integration, main="unmigrated", variables={"GMF_TEST_MIGRATIONS": modules})
    integration.sql("DROP TABLE {static}.django_session")
    server.run("gmf_migrate", "--run-syncdb", "--verbosity=0")
    assert "django_session" in server.tables(STATIC)
    assert "django_session" not in server.tables("unmigrated")


def test_a_migration_that_fails_leaves_nothing_and_the_lock_is_free(integration: Server) -> None:
    server = replace(integration, main="Failing")
    server.sql('CREATE SCHEMA {main} AUTHORIZATION gmf; CREATE TABLE {main}."library_tag" (id int)')
    assert "library_tag" in server.manage("gmf_migrate").stderr
    assert server.tables("Failing") == {"library_tag"}
    server.sql('DROP TABLE {main}."library_tag"')
    server.run("gmf_migrate")
    assert server.history("Failing") == ["library.0001_initial"]


def test_a_foreign_key_from_main_to_static_is_one_in_the_database(integration: Server) -> None:
    keys = """SELECT confrelid::regclass::text FROM pg_constraint WHERE conrelid = '{main}."library_note"'::regclass"""
    referred = integration.sql(f"{keys} AND contype = 'f'")
    assert referred == [f"{quote(STATIC)}.django_content_type"]
    about = """
from django.contrib.auth.models import User
from tests.books.models import Note, Tag
tag = Tag.objects.create(name="about")
Note.objects.create(text="x", about=tag)
print(json.dumps([Note.objects.get().about.name, User.objects.count()]))
"""
    assert integration.shell(about) == ["about", 0]
    assert integration.sql('SELECT text FROM {main}."library_note"') == ["x"]


def test_a_renamed_model_keeps_its_content_type_and_other_servers_their_table(integration: Server) -> None:
    query = "SELECT id FROM {{static}}.django_content_type WHERE model = '{}'"
    server = replace(integration, main="earlier", static="static_renamed")
    server.run("gmf_migrate", "--verbosity=0")
    before = server.sql(query.format("tile"))
    modules = json.dumps({"library": "tests.books.later.migrations"})
    later = replace(server, main="later", variables={"GMF_TEST_MIGRATIONS": modules})
    later.run("gmf_migrate", "--verbosity=0")
    assert server.sql(query.format("sheet")) == before != []
    assert "library_sheet" in later.tables("later")
    assert "library_tile" in server.tables("earlier")


def test_of_two_that_migrate_at_once_the_second_waits_and_has_nothing_to_do(integration: Server) -> None:
    server = replace(integration, main="at_once")
    command = [sys.executable, "-m", "django", "gmf_migrate"]
    both = []
    with psycopg.connect(_dsn(integration), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [KEY])
        for _ in range(2):
            output = subprocess.PIPE
            both.append(subprocess.Popen(command, env=server.env(), cwd=ROOT, stdout=output, stderr=output, text=True))
        for process in both:
            assert process.stdout is not None
            assert "Another gmf_migrate or clone_schema works on the database 'schemas'" in process.stdout.readline()
        assert server.tables("at_once") == set()
    done = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], done
    said = sorted("No migrations to apply" in output for output, _ in done)
    assert said == [False, True]
    assert server.history("at_once") == ["library.0001_initial"]


LOCK_HOLDER = f"""
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
  AND (classid::bigint << 32) + objid::bigint = {KEY}
  AND database = (SELECT oid FROM pg_database WHERE datname = '{DATABASE}')
"""
WAITS = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{DATABASE}' AND wait_event_type = 'Lock'"


def test_a_migration_whose_lock_was_lost_says_so_in_the_end(integration: Server) -> None:
    server = replace(integration, main="unlocked")
    command = [sys.executable, "-m", "django", "gmf_migrate"]
    output = subprocess.PIPE
    with psycopg.connect(_dsn(integration)) as holder:
        holder.execute(f"LOCK TABLE {quote(STATIC)}.django_content_type")
        migrating = subprocess.Popen(command, env=server.env(), cwd=ROOT, stdout=output, stderr=output, text=True)
        until(lambda: integration.sql(WAITS))
        (pid,) = integration.sql(LOCK_HOLDER)
        integration.sql(f"SELECT pg_terminate_backend({pid}, 5000)")
    stdout, stderr = migrating.communicate(timeout=60)
    assert migrating.returncode == 1, stdout + stderr
    assert "Applying library.0001_initial... OK" in stdout
    assert stderr.splitlines()[-1].startswith(
        "CommandError: The migrations were applied, but the connection with the lock of the schemas was lost meanwhile"
    )


def test_an_extension_that_the_engine_needs_and_cannot_create_is_told_in_one_line(integration: Server) -> None:
    try:
        import_module("django.contrib.gis.gdal")
    except ImproperlyConfigured:
        refuse(f"the engine needs the library GDAL: {postgis.REMEDY}")
    gis = {"DJANGO_SETTINGS_MODULE": "tests.cluster.postgis_settings"}
    settings = {"engine": "django_gmf_router.backends.postgis"}
    line = replace(integration, main="gis", variables=gis, settings=settings).refused("gmf_migrate")
    assert line.startswith("CommandError: What the engine of 'default' needs cannot be created (")
    assert "postgis" in line
    assert line.endswith("): let an administrator create the extension in the schema 'public'.")


def _dsn(server: Server) -> str:
    return psycopg.conninfo.make_conninfo(server.cluster.dsn("primary"), dbname=server.database)


def test_a_site_without_schemas_moves_into_them_as_the_page_says(database: LocalCluster) -> None:
    server = Server(cluster=database, main="main", static="static", database="moving")
    database.execute("primary", "CREATE DATABASE moving OWNER gmf")
    try:
        done = manage(environment(database, NAME="moving"), "migrate", "--verbosity=0")
        assert done.returncode == 0, done.stderr
        server.sql("INSERT INTO auth_group (name) VALUES ('kept')")
        block = example(PAGE, "ALTER TABLE").text
        server.shell(f"{block}\nprint(1)")
        server.run("gmf_migrate", "--fake", "--verbosity=0")
        assert server.failed_checks("default") == []
        assert server.tables("public") == set()
        assert server.history("main") == ["library.0001_initial"]
        assert server.sql("SELECT name FROM {static}.auth_group") == ["kept"]
        assert "No migrations to apply" in server.run("gmf_migrate")
    finally:
        database.execute("primary", "DROP DATABASE moving WITH (FORCE)")


def test_plain_migrate_says_what_to_run_and_changes_nothing(integration: Server) -> None:
    server = replace(integration, main="plain")
    assert "Run gmf_migrate" in server.manage("migrate").stderr
    line = server.refused("migrate", "--skip-checks")
    assert line == "CommandError: GMF_ROUTER['default'] has SCHEMAS: run gmf_migrate --database=default, instead."
    assert server.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'plain'") == []
    assert "run gmf_migrate" in integration.refused("migrate")
    assert "is a replica of 'default'" in server.refused("gmf_migrate", "--database=replica_1")


def test_without_schemas_there_is_nothing_for_gmf_migrate(database: LocalCluster) -> None:
    done = manage(environment(database), "gmf_migrate")
    assert done.returncode == 1
    assert "CommandError: GMF_ROUTER['default'] has no SCHEMAS: run migrate, or name them there." in done.stderr


def test_a_role_that_may_not_create_a_schema_is_told_so_in_one_line(integration: Server) -> None:
    integration.sql(f"ALTER DATABASE {DATABASE} OWNER TO CURRENT_USER")
    try:
        line = replace(integration, main="forbidden").refused("gmf_migrate")
    finally:
        integration.sql(f"ALTER DATABASE {DATABASE} OWNER TO gmf")
    assert line.startswith("CommandError: The schema 'forbidden' cannot be created (permission denied for database")


def test_a_database_that_is_not_there_is_told_in_one_line(integration: Server) -> None:
    line = replace(integration, database="nowhere").refused("gmf_migrate")
    assert line.startswith("CommandError: The alias 'default' cannot be connected to: ")
    assert 'database "nowhere" does not exist' in line


@pytest.mark.parametrize("driver", DRIVERS)
def test_sessions_of_every_alias_look_in_main_static_and_the_extensions(integration: Server, driver: str) -> None:
    server = replace(integration, variables={"GMF_TEST_DRIVER": driver})
    path = ["Integration", STATIC, "public"]
    assert server.failed_checks("default", "replica_1", "replica_2") == []
    assert server.shell(OPTIONS) == {
        "default": [path, "off"],
        "replica_1": [path, "on"],
        "replica_2": [path, "on"],
    }


def test_a_schema_that_is_missing_on_the_server_is_an_error(integration: Server) -> None:
    (error,) = replace(integration, main="absent").failed_checks("replica_1")
    assert "(gmf_router.E019) The schema 'absent' is missing from the database 'schemas' of 'replica_1'" in error


def test_a_stock_engine_is_told_which_search_path_it_lacks(integration: Server) -> None:
    server = replace(integration, settings={"engine": STOCK})
    errors = server.failed_checks("default")
    assert ["E015" in line for line in errors] == [True, True, True, False]
    assert "DATABASES['replica_1'] have no search_path" in errors[1]
    assert "(gmf_router.E018) The sessions of 'default' have the search_path" in errors[3]


def test_a_table_that_stands_in_the_other_schema_too_is_an_error(integration: Server) -> None:
    integration.sql("CREATE TABLE {main}.auth_group (id int)")
    try:
        (error,) = integration.failed_checks("default")
    finally:
        integration.sql("DROP TABLE {main}.auth_group")
    assert "(gmf_router.E020) The table 'auth_group' of the app 'auth' stands in the schema 'Integration'" in error


def test_manage_py_test_makes_both_schemas_in_its_test_database(integration: Server) -> None:
    server = replace(integration, main="main", static="static")
    databases = {
        alias: {**settings, "NAME": DATABASE, "OPTIONS": {}} for alias, settings in _mirrored(server.cluster).items()
    }
    env = {**server.env(), "GMF_TEST_DATABASES": json.dumps(databases)}
    done = manage(env, "test", "tests.cluster.schemas_suite", "--pattern=schemas_suite.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 3 tests" in done.stderr


def _mirrored(cluster: LocalCluster) -> dict[str, Any]:
    return cluster.databases(mirror=True)
