"""Do servers share one database, each with a main schema of its own beside the shared static one?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import DRIVERS, environment, manage

STATIC_APPS = ["admin", "auth", "contenttypes", "sessions"]
STATIC = "static.Ünd \"so\""  # as hard as a name can be
HISTORY = 'SELECT DISTINCT app FROM {}."django_migrations" ORDER BY 1'
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = '{}' ORDER BY 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A web server: the shared database and static schema, a main schema of its own."""

    cluster: LocalCluster
    main: str
    static: str = STATIC
    driver: str = "psycopg"
    database: str = "schemas"
    options: dict[str, Any] = field(default_factory=dict)

    def env(self) -> dict[str, str]:
        schemas = {"MAIN": self.main, "STATIC": self.static, "STATIC_APPS": STATIC_APPS}
        return environment(self.cluster, self.driver, {"SCHEMAS": schemas}, NAME=self.database, **self.options)

    def manage(self, *args: str) -> Any:
        return manage(self.env(), *args)

    def run(self, *args: str) -> str:
        done = self.manage(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    def sql(self, sql: str) -> list[str]:
        return [str(row[0]) for row in self.cluster.execute("primary", sql, database=self.database)]

    def shell(self, code: str) -> Any:
        return json.loads(self.run("shell", "--verbosity=0", "--command", f"import json\n{code}").splitlines()[-1])


@pytest.fixture(scope="module")
def integration(_gmf_session_cluster: LocalCluster) -> Iterator[Server]:
    server = Server(cluster=_gmf_session_cluster, main="Main")
    _gmf_session_cluster.execute("primary", "CREATE DATABASE schemas OWNER gmf")
    server.run("gmf_migrate", "--verbosity=0")
    yield server
    _gmf_session_cluster.execute("primary", "DROP DATABASE schemas WITH (FORCE)")


def test_each_schema_has_the_tables_and_the_history_of_its_apps(integration: Server) -> None:
    print(integration.sql(TABLES.format("Main")), integration.sql(TABLES.format(STATIC)), integration.sql(TABLES.format("public")))
    print(integration.run("showmigrations"))
    print(integration.run("check", "--database=default","--database=replica_1"))
    print(integration.sql(HISTORY.format('"Main"')))
    assert 0
