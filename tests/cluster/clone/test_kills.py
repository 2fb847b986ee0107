"""Are source and target as they were, whoever is killed or cut off at whichever moment?"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.cluster.clone.databases import SMALL, Database
from tests.waiting import until

MOMENTS = 10 if os.environ.get("GMF_SOAK") else 3
ROWS = 20_000
LARGE = f"""{SMALL}
INSERT INTO main.layer (name, user_id) SELECT repeat('layer ' || n, 5), 1 + n % 2 FROM generate_series(1, {ROWS}) n;
CREATE INDEX ON main.layer (name);
"""
WAIT_SECONDS = 30
PROGRAM = (
    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'clone_schema%' AND datname = current_database()"
)

pytestmark = pytest.mark.parametrize("database", [LARGE], indirect=True)


class State:
    """What must not change."""

    def __init__(self, database: Database) -> None:
        database.clone("main", "prod")
        database.as_owner("UPDATE main.layer SET name = 'changed' WHERE id = 1")
        self._database = database
        self.schemas = database.schemas()
        self.main, self.prod = database.dump("main"), database.dump("prod")

    def check(self) -> None:
        """Look that nothing changed, and that the next run is not disturbed by what is left."""
        found = self._database.schemas()
        leftover = found.pop("prod__new", None)
        assert found == self.schemas
        assert self._database.dump("main") == self.main
        assert self._database.dump("prod") == self.prod
        until(lambda: not self._database.execute(f"{PROGRAM} AND application_name = 'clone_schema'"))
        printed = self._database.clone("main", "prod", "--replace", "--keep", "0")
        assert ("removing prod__new" in printed) == (leftover is not None)
        assert set(self._database.schemas()) == {"static", "main", "prod"}
        assert [line.replace("prod", "main") for line in self._database.dump("prod")] == self.main
        assert not self._database.execute(PROGRAM)


@pytest.fixture
def state(database: Database) -> State:
    return State(database)


def children(process: subprocess.Popen[str]) -> dict[str, int]:
    """Return the programs that the command runs now."""
    found = {}
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children():
            found[child.name()] = child.pid
    return found


# psql waits for it before it renames the source, and pg_dump for psql, once the pipe between them is full.
NAMED = "GRANT USAGE ON SCHEMA main TO pg_monitor"


def while_dumping(process: subprocess.Popen[str]) -> dict[str, int]:
    """Return the programs that the command runs as soon as pg_dump is one of them.

    Beside psql: alone it is asked for its version, and gone before it can be killed.
    """
    found = children(process)
    return found if {"psql", "pg_dump"} <= found.keys() else {}


@pytest.mark.parametrize(
    ("victim", "signum"),
    [*((each, signal.SIGKILL) for each in ("psql", "pg_dump", "command")), ("command", signal.SIGINT)],
)
def test_during_the_restore(database: Database, state: State, victim: str, signum: int) -> None:
    with database.holding(NAMED):
        process = database.start("main", "prod", "--replace")
        programs = until(lambda: while_dumping(process))
        os.kill(programs.get(victim, process.pid), signum)
        _, stderr = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode in ({1, -signum} if victim == "command" else {1})
    assert "Traceback" not in stderr
    state.check()


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT", "cut"])
@pytest.mark.parametrize(
    ("where", "held", "waiting"),
    [
        ("the foreign keys", "UPDATE static.users SET id = id", "ALTER TABLE%"),
        ("the swap", "GRANT USAGE ON SCHEMA prod TO pg_monitor", "ALTER SCHEMA%"),
    ],
)
def test_during(database: Database, state: State, where: str, held: str, waiting: str, how: str) -> None:
    blocked = f"""SELECT pid FROM pg_stat_activity WHERE application_name = 'clone_schema' AND query LIKE '{waiting}'
        AND wait_event_type = 'Lock' AND datname = current_database()"""
    with database.holding(held):
        process = database.start("main", "prod", "--replace")
        ((pid,),) = until(lambda: database.execute(blocked))
        if how == "cut":
            database.execute(f"SELECT pg_terminate_backend({pid})")
        else:
            process.send_signal(signal.Signals[how])
        _, stderr = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == (-signal.SIGKILL if how == "SIGKILL" else 1), (where, stderr)
    assert "Traceback" not in stderr
    assert ("prod__new" in database.schemas()) == (how != "SIGINT")
    state.check()


def test_no_password_is_on_a_command_line_or_in_the_output(database: Database) -> None:
    with database.holding(NAMED):
        process = database.start("main", "prod")
        pids = [process.pid, *until(lambda: while_dumping(process)).values()]
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]
    stdout, stderr = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, len(lines)) == (0, 3)
    password = database.cluster.databases()["default"]["PASSWORD"]
    assert password
    assert password not in f"{lines}{stdout}{stderr}"


@pytest.mark.soak
def test_at_random_moments(database: Database, state: State) -> None:
    began = time.monotonic()
    database.clone("main", "copy")
    seconds = time.monotonic() - began
    database.as_owner("DROP SCHEMA copy CASCADE")
    seed = random.randrange(2**32)
    generator = random.Random(seed)
    for _ in range(MOMENTS):
        process = database.start("main", "copy")
        time.sleep(generator.uniform(seconds * 0.2, seconds))  # the moment is what is tested
        programs = children(process)
        victims = [process.pid, *programs.values()] if generator.random() < 0.5 else [process.pid]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=WAIT_SECONDS)
        found = database.schemas()
        assert {name: found[name] for name in state.schemas} == state.schemas, seed
        assert found.keys() - state.schemas.keys() <= {"copy", "copy__new"}, seed
        assert database.dump("main") == state.main, seed
        assert database.dump("prod") == state.prod, seed
        if "copy" in found:
            assert [line.replace("copy", "main") for line in database.dump("copy")] == state.main, seed
        database.as_owner("DROP SCHEMA IF EXISTS copy CASCADE")
    until(lambda: not database.execute(f"{PROGRAM} AND application_name = 'clone_schema'"))
    database.clone("main", "copy")
    assert set(database.schemas()) == {"static", "main", "prod", "copy"}
