"""Does one command at a time change the schemas of a database?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db.utils import ConnectionHandler

from django_gmf_router.exceptions import SchemasLocked
from django_gmf_router.schemas.session import is_held, schemas_locked
from django_gmf_router.testing import LocalCluster

BUSY = "Another gmf_migrate or clone_schema works on the database 'gmf'"


@pytest.fixture
def sessions(gmf_cluster: LocalCluster, django_db_blocker: Any) -> Iterator[tuple[Any, Any]]:
    """Two sessions on the primary."""
    databases = gmf_cluster.databases(engine="django.db.backends.postgresql")
    handler = ConnectionHandler({"default": databases["default"]})
    opened = [handler.create_connection("default") for _ in range(2)]
    for connection in opened:
        connection.inc_thread_sharing()
    with django_db_blocker.unblock():
        yield opened[0], opened[1]
    for connection in opened:
        connection.close()


def test_one_that_does_not_wait_is_refused_in_one_line(sessions: tuple[Any, Any]) -> None:
    first, second = sessions
    with schemas_locked(first):
        with pytest.raises(SchemasLocked, match=BUSY) as refused, schemas_locked(second):
            pass
        assert "\n" not in str(refused.value)
    with schemas_locked(second):
        pass


def test_one_that_waits_says_so_once_and_goes_on_when_the_other_has_ended(sessions: tuple[Any, Any]) -> None:
    first, second = sessions
    said: list[str] = []
    with ExitStack() as held:
        held.enter_context(schemas_locked(first))

        def waiting(line: str) -> None:
            said.append(line)
            held.close()

        with schemas_locked(second, waiting=waiting):
            assert said == [f"{BUSY}: waiting until it has ended."]
            with pytest.raises(SchemasLocked), schemas_locked(first):
                pass


def test_no_time_limit_of_the_role_ends_the_session_that_holds_it(sessions: tuple[Any, Any]) -> None:
    first, _ = sessions
    with first.cursor() as cursor:
        cursor.execute("SET idle_session_timeout = '1h'; SET statement_timeout = '1h'")
        with schemas_locked(first):
            assert is_held(first)
            cursor.execute("SELECT name FROM pg_settings WHERE name LIKE '%timeout' AND setting = '3600000'")
            assert cursor.fetchall() == []
        assert not is_held(first)


def test_a_session_that_is_lost_has_no_lock(sessions: tuple[Any, Any], gmf_cluster: LocalCluster) -> None:
    first, second = sessions
    with schemas_locked(first):
        with first.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        gmf_cluster.execute("primary", f"SELECT pg_terminate_backend({pid}, 5000)")
        with schemas_locked(second):
            pass
        assert not is_held(first)


def test_one_that_waits_does_not_stand_in_the_way_of_an_index_built_concurrently(sessions: tuple[Any, Any]) -> None:
    first, second = sessions
    is_waiting = threading.Event()
    done = threading.Event()

    def wait() -> None:
        with schemas_locked(second, waiting=lambda _line: is_waiting.set()):
            done.set()

    with first.cursor() as cursor:
        cursor.execute("CREATE TABLE indexed (id int)")
        try:
            with schemas_locked(first):
                thread = threading.Thread(target=wait)
                thread.start()
                assert is_waiting.wait(10)
                for _ in range(3):
                    cursor.execute("CREATE INDEX CONCURRENTLY ON indexed (id)")
        finally:
            cursor.execute("DROP TABLE indexed")
    assert done.wait(10)
    thread.join()
