"""How do the tests of clone_schema make a database, clone in it, and look at what came of it?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import ROOT, environment

EVERYTHING = Path(__file__).with_name("everything.sql")
SYSTEM = r"^(pg_|information_schema$|public$)"
RESTRICT = re.compile(r"^\\(un)?restrict ")
SMALL = """
CREATE SCHEMA static; CREATE TABLE static.users (id int PRIMARY KEY); INSERT INTO static.users VALUES (1), (2);
CREATE SCHEMA main;
CREATE TABLE main.layer (id serial PRIMARY KEY, name text, user_id int REFERENCES static.users);
INSERT INTO main.layer (name, user_id) SELECT 'layer ' || n, 1 + n % 2 FROM generate_series(1, 20) n;
"""


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database of a cluster, owned by the site's role."""

    cluster: LocalCluster
    name: str
    variables: dict[str, str] = field(default_factory=dict)

    def execute(self, sql: str, seconds: float = 60) -> list[Any]:
        """Run SQL as superuser."""
        return self.cluster.execute("primary", sql, database=self.name, timeout_seconds=seconds)

    def as_owner(self, sql: str) -> list[Any]:
        """Run SQL as the site's role."""
        return self.execute(f"SET ROLE gmf; {sql}")

    @contextmanager
    def holding(self, sql: str) -> Iterator[None]:
        """Hold the locks of a statement of the site's role during the block."""
        dsn = self.cluster.dsn("primary")
        with psycopg.connect(f"{dsn} dbname={self.name}") as connection:
            connection.execute(sql)
            yield
            connection.rollback()

    def environment(
        self, driver: str = "psycopg", router: dict[str, Any] | None = None, **database: Any
    ) -> dict[str, str]:
        """Return the environment of the site's commands."""
        replicas = [node for node in self.cluster.nodes if node != "primary"]
        settings = {"NAME": self.name, "CONN_MAX_AGE": 0, **database}
        env = environment(self.cluster, driver, {"REPLICAS": replicas, **(router or {})}, **settings)
        return {**env, "GMF_PG_BINDIR": str(self.bin_dir), **self.variables}

    @property
    def bin_dir(self) -> Path:
        """The programs of the cluster's servers."""
        directory: Path = self.cluster._server("primary").home.bin_dir
        return directory

    def start(self, *args: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start clone_schema."""
        command = [sys.executable, "-m", "django", "clone_schema", *args]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command,
            env=env or self.environment(),
            cwd=ROOT,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run clone_schema."""
        process = self.start(*args, env=env)
        stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(args, process.returncode, stdout, stderr)

    def clone(self, *args: str, env: dict[str, str] | None = None) -> str:
        """Run clone_schema, which has to succeed; answer what it printed."""
        done = self.run(*args, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def refusal(self, *args: str, env: dict[str, str] | None = None) -> str:
        """Run clone_schema, which has to refuse in one line and change nothing; return the line."""
        before = self.schemas()
        done = self.run(*args, env=env)
        assert done.returncode == 1, done.stdout + done.stderr
        (line,) = done.stderr.splitlines()
        assert self.schemas() == before
        return line.partition(": ")[2]

    def schemas(self) -> dict[str, str]:
        """Return the schemas and their oids."""
        return dict(self.execute(f"SELECT nspname, oid FROM pg_namespace WHERE nspname !~ '{SYSTEM}' ORDER BY 1"))

    def dump(self, schema: str) -> list[str]:
        """Return the lines of a schema's dump but for those that differ each time."""
        access = self.cluster._server("primary")
        env = {**os.environ, "PGPASSWORD": access.home.passwords()["postgres"]}
        target = ("-h", "127.0.0.1", "-p", str(access.port), "-U", "postgres", "-d", self.name, "-n", f'"{schema}"')
        command = [str(self.bin_dir / "pg_dump"), *target]
        text = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, text=True).stdout
        return [line for line in text.splitlines() if not RESTRICT.match(line)]


def create(cluster: LocalCluster, name: str, sql: str = SMALL) -> Database:
    """Make a database with something in it."""
    cluster.execute("primary", f"CREATE DATABASE {name} OWNER gmf")
    made = Database(cluster=cluster, name=name)
    made.as_owner(f"SET client_min_messages = error; {sql}")
    return made


def drop(database: Database) -> None:
    """Remove a database, whoever is connected."""
    database.cluster.execute("primary", f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)", timeout_seconds=60)
