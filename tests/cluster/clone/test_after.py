"""Does what comes after a clone work on the copy: migrations, and how large may a schema be?"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cluster.clone.databases import SMALL, Database
from tests.cluster.sites import DRIVERS, ROOT

ROWS = 1_000_000 if os.environ.get("GMF_SOAK") else 100_000
MEMORY_KB = 150 * 1024
PEAK = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "-m", "django", "clone_schema", "main", "prod"])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def migrate(database: Database, schema: str, when: str, driver: str) -> None:
    env = database.environment(driver, OPTIONS={"options": f"-c search_path={schema},public"})
    command = [sys.executable, "-m", "tests.cluster.clone.operations", when]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_migration_operation_works_on_the_copy(database: Database, driver: str) -> None:
    migrate(database, "main", "before", driver)
    before = database.dump("main")
    database.clone("main", "prod")
    migrate(database, "prod", "after", driver)
    assert database.dump("main") == before
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'prod' AND tablename IN ('thing_table', 'shop_new')"
    assert database.execute(tables) == [("2",)]


@pytest.mark.soak
@pytest.mark.parametrize(
    "database",
    [f"{SMALL} INSERT INTO main.layer (name) SELECT repeat(n::text, 20) FROM generate_series(1, {ROWS}) n"],
    indirect=True,
)
def test_memory_does_not_grow_with_the_rows(database: Database) -> None:
    command = [sys.executable, "-c", PEAK]
    done = subprocess.run(command, env=database.environment(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout.splitlines()[-1])
    assert peak < MEMORY_KB
    print(f"{ROWS} rows: {peak / 1024:.0f} MB")
