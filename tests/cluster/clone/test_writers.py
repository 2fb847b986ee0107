"""Do those who write the static tables go on writing while a schema that refers to them is cloned?"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from django_gmf_router.schemas.session import LOCK_TIMEOUT_MS
from tests.cluster.clone.databases import SMALL, Database

CLONES = 20 if os.environ.get("GMF_SOAK") else 3
LIMIT_SECONDS = LOCK_TIMEOUT_MS / 1000 + 0.1
TABLE = "(id int PRIMARY KEY, user_id int REFERENCES static.users, url_id int REFERENCES static.urls)"
REFERRING = f"""{SMALL}
ALTER TABLE static.users ADD n int; CREATE TABLE static.urls (id int PRIMARY KEY, n int);
{"".join(f"CREATE TABLE main.t{n} {TABLE};" for n in range(4))}
"""


class Writer(threading.Thread):
    """Writes static tables in transactions, and takes the time of each statement."""

    def __init__(
        self, database: Database, *, row: int, tables: tuple[str, ...], pause_seconds: float, rest_seconds: float = 0.0
    ) -> None:
        super().__init__()
        self._dsn = f"{database.cluster.dsn('primary')} dbname={database.name}"
        self._tables = tables
        self._row = row  # of its own: writers do not wait for each other
        self._pause = pause_seconds
        self._rest = rest_seconds
        self._ended = threading.Event()
        self.waits: list[float] = []
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                while not self._ended.is_set():
                    self._write(connection)
                    self._ended.wait(self._rest)
        except Exception as error:  # noqa: BLE001  (whatever it is, the test shows it)
            self.failure = error

    def _write(self, connection: psycopg.Connection) -> None:
        with connection.transaction():
            for table in self._tables:
                began = time.monotonic()
                connection.execute(
                    f"INSERT INTO static.{table} VALUES ({self._row}) ON CONFLICT (id) DO UPDATE SET n = 1"
                )
                self.waits.append(time.monotonic() - began)
                self._ended.wait(self._pause)

    def stop(self) -> None:
        self._ended.set()
        self.join()


@contextmanager
def writing(database: Database) -> Iterator[list[Writer]]:
    """Write in one order and in the other; and one whose transactions last longer than anybody should wait for them."""
    writers = [
        Writer(database, row=1, pause_seconds=0.04, tables=("users", "urls")),
        Writer(database, row=2, pause_seconds=0.03, tables=("urls", "users")),
        Writer(database, row=3, pause_seconds=0.001, tables=("users",)),
        Writer(database, row=4, pause_seconds=3 * LIMIT_SECONDS, tables=("users",), rest_seconds=LIMIT_SECONDS),
    ]
    for writer in writers:
        writer.start()
    yield writers
    for writer in writers:
        writer.stop()


@pytest.mark.soak
@pytest.mark.parametrize("database", [REFERRING], indirect=True)
def test_none_waits_longer_than_the_lock_time_out_and_none_meets_a_deadlock(database: Database) -> None:
    with writing(database) as writers:
        for _ in range(CLONES):
            database.clone("main", "prod", "--replace", "--keep", "0")
    assert [writer.failure for writer in writers] == [None] * len(writers)
    assert all(len(writer.waits) > 2 for writer in writers)
    assert max(max(writer.waits) for writer in writers) < LIMIT_SECONDS
    (deadlocks,) = database.execute(f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{database.name}'")
    assert deadlocks == ("0",)
