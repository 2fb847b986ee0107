"""Do tools that compare the ENGINE by its name work with ours, set up as the page says?"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import find_programs
from tests.cluster.sites import environment, manage
from tests.unit.docs.pages import blocks

PAGE = "docs/how-to/tools-that-compare-engines.md"
STOCK = "django.db.backends.postgresql"
OURS = "django_gmf_router.backends.postgresql"
STRANGERS = """
DECLARE name text;
BEGIN
    FOR name IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
                WHERE schemaname = 'public' AND tableowner = current_user LOOP
        EXECUTE 'DROP TABLE ' || name;
    END LOOP;
END
"""


class Tools:
    """The site's commands, with the programs of the cluster's own PostgreSQL, and where backups are written."""

    def __init__(self, cluster: LocalCluster, directory: Path) -> None:
        self.cluster = cluster
        self.backups = directory / "backups"

    def run(self, *args: str, engine: str = OURS) -> subprocess.CompletedProcess[str]:
        env = {
            **environment(self.cluster, engine=engine),
            "DJANGO_SETTINGS_MODULE": "tests.cluster.tools_settings",
            "GMF_TEST_BACKUPS": str(self.backups),
            "PATH": f"{find_programs().directory}{os.pathsep}{os.environ['PATH']}",
        }
        return manage(env, *args)

    def done(self, *args: str, engine: str = OURS) -> str:
        """Run a command that has to succeed; return what it printed."""
        done = self.run(*args, engine=engine)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def authors(self) -> list[tuple[str | None, ...]]:
        return self.cluster.execute("primary", "SELECT name FROM library_author WHERE name = 'kept'")


@pytest.fixture
def tools(migrated: LocalCluster, gmf_cluster: LocalCluster, tmp_path: Path) -> Tools:
    # What other tests left is the superuser's: who backs up the whole database could not read it.
    gmf_cluster.execute("primary", f"DO $${STRANGERS}$$")
    gmf_cluster.execute("primary", "DELETE FROM library_author; INSERT INTO library_author (name) VALUES ('kept')")
    return Tools(gmf_cluster, tmp_path)


@pytest.mark.parametrize("engine", [OURS, STOCK])
def test_a_backup_is_one_dump_of_pg_dump_and_comes_back(tools: Tools, engine: str) -> None:
    tools.done("dbbackup", engine=engine)
    (backup,) = (path for path in tools.backups.iterdir() if path.suffix != ".metadata")
    assert backup.read_bytes().startswith(b"PGDMP")
    tools.cluster.execute("primary", "DELETE FROM library_author")
    if engine == STOCK:
        # It is from before the site had our ENGINE.
        assert (
            "Restoring to a different database engine is not supported"
            in tools.run("dbrestore", "--noinput", "--database", "default").stderr
        )
        (command,) = (block.text.removeprefix("$ ") for block in blocks(PAGE, "console"))
        subprocess.run(command, shell=True, check=True, cwd=tools.backups.parent)
    tools.done("dbrestore", "--noinput", "--database", "default")
    assert tools.authors() == [("kept",)]


def test_django_extensions_knows_the_engine(tools: Tools) -> None:
    database = tools.cluster.databases()["default"]
    assert f"port='{database['PORT']}'" in tools.done("sqldsn").replace('"', "'")
    assert "CREATE DATABASE gmf" in tools.done("sqlcreate")
    tools.done("drop_test_database", "--noinput")
    tools.done("reset_db", "--noinput", "--dbname", "scratch")
    assert tools.cluster.execute("primary", "SELECT 1 FROM pg_database WHERE datname = 'scratch'") == [("1",)]
    tools.cluster.execute("primary", "DROP DATABASE scratch")
