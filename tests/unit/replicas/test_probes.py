"""Is a reading what the server said, without a password, and can a blocked read be freed?"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper

from django_gmf_router.postgres import dialects
from django_gmf_router.replicas.probes import Probe
from django_gmf_router.replicas.readings import Reading, failed

MakeProbe = Callable[..., Probe]
STARTED = 1_700_000_000.5
REPLAYED_AT = STARTED + 10
NOW = REPLAYED_AT + 3.5
PRIMARY_ROW = (
    *(False, None, 0x1_0200_0340, 0x1_0200_0300, "000000070000000100000002", None),
    *(STARTED, "n", NOW, "21 22", None),
)
REPLICA_ROW = (
    *(True, 0x1_0200_0300, None, None, None, REPLAYED_AT),
    *(STARTED, "n", NOW, "20 21", '3 {"share": {"": 0.3}}'),
)


class DriverError(Exception):
    """The driver's error."""


class Server:
    """A driver and the server behind it, in place of psycopg; `answers` are rows or errors, one a statement."""

    Error = DriverError
    OperationalError = DriverError

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.connected: list[dict[str, Any]] = []
        self.closed = 0
        self.identity: Any = ("42",)

    def connect(self, **parameters: Any) -> Server:
        self.connected.append(parameters)
        if self.answers and self.answers[0] == "no connection":
            del self.answers[0]
            raise DriverError("connection refused")
        self.near, self.far = socket.socketpair()
        self.near.settimeout(10)  # by which a test fails
        return self

    def fileno(self) -> int:
        return self.near.fileno()

    def cursor(self) -> Server:
        return self

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *args: Any) -> None:
        pass

    def execute(self, sql: str, parameters: object = None) -> None:
        self.row = self.identity if sql == dialects.IDENTIFY else self.answers.pop(0)
        if self.row == "hang":
            self.row = DriverError(f"the wire gave {self.near.recv(1)!r}")
        if isinstance(self.row, Exception):
            raise self.row

    def fetchone(self) -> Any:
        return self.row

    def close(self) -> None:
        self.closed += 1
        self.near.close()
        self.far.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Server:
    """The server behind every alias: of the class of the test, or with its OPTIONS."""
    param = getattr(request, "param", {})
    found, options = (param(), {}) if isinstance(param, type) else (Server(), param)

    def create(alias: str) -> DatabaseWrapper:
        settings = {**connections.settings["default"], "NAME": "n", "PASSWORD": "s3cret", "OPTIONS": options}
        wrapper = DatabaseWrapper(settings, alias)
        wrapper.Database = found
        return wrapper

    monkeypatch.setattr(connections, "create_connection", create)
    return found


@pytest.fixture
def a_probe() -> Iterator[MakeProbe]:
    """Make probes that are closed at the end."""
    made: list[Probe] = []

    def make(alias: str = "replica_1", *args: float) -> Probe:
        made.append(Probe(alias, *args))
        return made[-1]

    yield make
    for probe in made:
        probe.close()


def test_what_a_primary_says(server: Server, a_probe: MakeProbe) -> None:
    server.answers = [PRIMARY_ROW]
    assert a_probe("default").read() == Reading(
        up=True,
        role="primary",
        position=0x1_0200_0340,
        flushed=0x1_0200_0300,
        timeline=7,
        system_identifier="42",
        database="n",
        started=STARTED,
        migrations="21 22",
        dialect=dialects.POSTGRESQL,
    )


def test_what_a_replica_says(server: Server, a_probe: MakeProbe) -> None:
    server.answers = [REPLICA_ROW]
    assert a_probe().read() == Reading(
        up=True,
        role="replica",
        position=0x1_0200_0300,
        system_identifier="42",
        database="n",
        started=STARTED,
        replay_age=3.5,
        control='3 {"share": {"": 0.3}}',
        migrations="20 21",
        dialect=dialects.POSTGRESQL,
    )


def test_a_replica_that_has_replayed_no_transaction_tells_the_age_of_its_start(
    server: Server, a_probe: MakeProbe
) -> None:
    server.answers = [(*REPLICA_ROW[:5], None, *REPLICA_ROW[6:])]
    assert a_probe().read().replay_age == NOW - STARTED


def test_after_an_election_a_new_connection_is_asked(server: Server, a_probe: MakeProbe) -> None:
    server.answers = [REPLICA_ROW, PRIMARY_ROW, REPLICA_ROW, REPLICA_ROW]
    probe = a_probe()
    assert [probe.read().role for _ in range(4)] == ["replica", "primary", "replica", "replica"]
    assert (len(server.connected), server.closed) == (2, 1)


def test_a_server_that_stays_in_its_new_role_is_not_connected_to_time_after_time(
    server: Server, a_probe: MakeProbe
) -> None:
    server.answers = [REPLICA_ROW, *[PRIMARY_ROW] * 4]
    probe = a_probe()
    assert [probe.read().role for _ in range(5)] == ["replica", *["primary"] * 4]
    assert len(server.connected) == 2


def test_one_connection_is_held(server: Server, a_probe: MakeProbe) -> None:
    server.answers = [REPLICA_ROW] * 3
    probe = a_probe()
    assert {probe.read().up for _ in range(3)} == {True}
    assert (len(server.connected), server.closed) == (1, 0)
    probe.close()
    probe.close()
    assert server.closed == 1


def test_a_connection_that_died_is_made_anew_within_the_reading(server: Server, a_probe: MakeProbe) -> None:
    server.answers = [REPLICA_ROW, DriverError("server closed the connection"), REPLICA_ROW]
    probe = a_probe()
    assert (probe.read().up, probe.read().up) == (True, True)
    assert (len(server.connected), server.closed) == (2, 1)


def test_a_server_that_was_killed_is_refused_at_the_next_reading(server: Server, a_probe: MakeProbe) -> None:
    server.answers = [REPLICA_ROW, DriverError("server closed the connection"), "no connection"]
    probe = a_probe()
    assert probe.read().up
    reading = probe.read()
    assert (reading.up, reading.refused, reading.error) == (False, True, "connection refused")


def test_a_new_connection_that_fails_is_not_tried_twice(server: Server, a_probe: MakeProbe) -> None:
    server.answers = [DriverError("no"), REPLICA_ROW]
    assert not a_probe().read().up
    assert len(server.connected) == 1


@pytest.mark.parametrize(
    ("server", "timeout", "seconds"),
    [
        ({}, 2.0, 2),
        ({}, 0.5, 2),
        ({}, 3.1, 4),
        ({"connect_timeout": 1}, 2.0, 1),
        ({"connect_timeout": 9}, 2.0, 2),
        ({"connect_timeout": 0}, 2.0, 2),
    ],
    indirect=["server"],
)
def test_a_connection_is_waited_for_about_the_time_out(
    server: Server, timeout: float, seconds: int, a_probe: MakeProbe
) -> None:
    server.answers = [REPLICA_ROW]
    a_probe("replica_1", timeout).read()
    assert server.connected[0]["connect_timeout"] == seconds
    assert server.connected[0]["application_name"] == "gmf_monitor"


def test_a_blocked_read_is_freed_and_not_tried_again(server: Server, a_probe: MakeProbe) -> None:
    from threading import Timer

    server.answers = [REPLICA_ROW, "hang", REPLICA_ROW]
    probe = a_probe()
    probe.read()
    timer = Timer(0.05, probe.abort)
    timer.start()
    reading = probe.read()
    timer.join()
    assert (reading.up, reading.error) == (False, "the wire gave b''")
    assert server.answers == [REPLICA_ROW]
    assert probe.read().up


def test_a_probe_given_up_while_it_connects_does_not_go_on(
    server: Server, monkeypatch: pytest.MonkeyPatch, a_probe: MakeProbe
) -> None:
    server.answers = [REPLICA_ROW]
    probe = a_probe()
    connect = server.connect
    monkeypatch.setattr(server, "connect", lambda **parameters: (probe.abort(), connect(**parameters))[1])
    assert probe.read().error == "The probe was given up while it connected."
    assert server.closed == 1


def test_a_server_that_does_not_tell_its_identity_is_up(server: Server, a_probe: MakeProbe) -> None:
    server.identity = DriverError("permission denied for function pg_control_system")
    server.answers = [REPLICA_ROW]
    reading = a_probe().read()
    assert (reading.up, reading.system_identifier) == (True, None)
    assert reading.dialect is not None
    assert reading.dialect.refused == ("pg_control_system",)


class Refusing(Server):
    """A server that refuses what the test says, and counts the statements that failed."""

    refuses: tuple[str, ...] = ()
    failed = 0

    def execute(self, sql: str) -> None:
        if any(f"{function}()" in sql for function in (*self.refuses, "aurora_version")):
            self.failed += 1
            error = DriverError("permission denied")
            error.sqlstate = "42501"  # type: ignore[attr-defined]
            raise error
        facts = dict(zip(dialects.POSTGRESQL.facts, REPLICA_ROW, strict=True))
        asked = [one for one, part in dialects.POSTGRESQL.facts.items() if part in sql and one not in self.refuses]
        self.row = ("42",) if sql == dialects.IDENTIFY else tuple(facts[function] for function in asked)


@pytest.mark.parametrize("server", [Refusing], indirect=True)
def test_what_is_refused_is_not_asked_again_on_the_connection(server: Refusing, a_probe: MakeProbe) -> None:
    server.refuses = ("pg_last_wal_replay_lsn", "pg_postmaster_start_time")
    probe = a_probe()
    reading = probe.read()
    assert (reading.up, reading.role, reading.position, reading.started) == (True, "replica", None, None)
    assert reading.dialect is not None
    assert reading.dialect.refused == server.refuses
    # The row, Aurora, and each of the two.
    assert server.failed == 4
    assert [probe.read() for _ in range(3)] == [reading] * 3
    assert server.failed == 4
    assert len(server.connected) == 1


@pytest.mark.parametrize("table", [dialects.MIGRATIONS, dialects.CONTROL])
def test_a_table_that_is_missing_tells_nothing_and_is_no_refusal(table: str) -> None:
    dialect = dialects.POSTGRESQL.without(table)
    assert table not in dialect.row
    assert dialect.refused == ()


@pytest.mark.parametrize("server", [Refusing], indirect=True)
def test_a_new_connection_asks_for_everything_again(server: Refusing, a_probe: MakeProbe) -> None:
    server.refuses = ("pg_last_wal_replay_lsn",)
    probe = a_probe()
    probe.read()
    server.refuses = ()
    assert probe.read().position is None
    probe.close()
    reading = probe.read()
    assert (reading.position, reading.dialect) == (REPLICA_ROW[1], dialects.POSTGRESQL)


@pytest.mark.parametrize("server", [Refusing], indirect=True)
def test_a_server_that_tells_nothing_of_replication_is_up(server: Refusing, a_probe: MakeProbe) -> None:
    server.refuses = tuple(function for function in dialects.POSTGRESQL.facts if function.startswith("pg_"))
    reading = a_probe().read()
    assert (reading.up, reading.role, reading.database) == (True, None, "n")
    assert reading.dialect is not None
    assert (reading.dialect.name, reading.dialect.refused) == ("other", server.refuses)


@pytest.mark.django_db(databases=["default", "replica_1"])
def test_another_database_is_up_and_tells_nothing_more(a_probe: MakeProbe) -> None:
    probe = a_probe()
    assert probe.read() == Reading(up=True)
    probe.close()
    assert probe.read() == Reading(up=True)
    probe.close()


@pytest.mark.django_db(databases=["replica_1"])
def test_another_database_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, a_probe: MakeProbe
) -> None:
    from django.db.backends.sqlite3.base import DatabaseWrapper as Sqlite

    settings = {**connections.settings["default"], "NAME": str(tmp_path / "no" / "file")}
    monkeypatch.setattr(connections, "create_connection", lambda alias: Sqlite(settings, alias))
    assert a_probe().read() == Reading(up=False, error="unable to open database file")


@pytest.mark.parametrize(
    ("message", "timed_out", "refused"),
    [
        ('connection to server at "::1", port 1 failed: Connection refused', False, True),
        ('connection to server on socket "/run/.s.PGSQL.5432" failed: No such file or directory', False, True),
        ("FATAL:  the database system is starting up", False, True),
        ("connection timeout expired", True, False),
        ("could not receive data from server: Connection timed out", True, False),
        ("FATAL:  sorry, too many clients already", False, False),
        ('FATAL:  password authentication failed for user "gmf"', False, False),
    ],
)
def test_what_an_error_means(message: str, timed_out: bool, refused: bool) -> None:
    reading = failed(DriverError(message), {})
    assert (reading.up, reading.timed_out, reading.refused) == (False, timed_out, refused)


@pytest.mark.parametrize("settings", [{"PASSWORD": "s3cret"}, {"OPTIONS": {"password": "s3cret"}}])
def test_an_error_is_one_line_without_the_password(settings: dict[str, Any]) -> None:
    error = failed(
        DriverError("bad:\n\tpassword=s3cret\n\tIs the server running on that host?\nmore" * 50), settings
    ).error
    assert error is not None
    assert error.startswith("bad: password=*** more")
    assert "s3cret" not in error
    assert "\n" not in error
    assert len(error) <= 300


def test_an_error_without_words_is_named() -> None:
    assert failed(DriverError(""), {}).error == "DriverError"


def test_a_primary_at_rest_is_where_replicas_come_to(server: Server, a_probe: MakeProbe) -> None:
    server.answers = [(*PRIMARY_ROW[:2], 0x1_0200_0028, 0x1_0200_0000, *PRIMARY_ROW[4:])]
    assert a_probe("default").read().position == 0x1_0200_0000
