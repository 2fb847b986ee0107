"""What is said of a server that is as it should be, and of one that is not?"""

from __future__ import annotations

from typing import Any

import pytest

from django_gmf_router.doctor.node_questions import Examined, findings_of_node
from django_gmf_router.doctor.vitals import Vitals
from django_gmf_router.postgres.dialects import AURORA, IDENTITY, POSTGRESQL
from django_gmf_router.replicas.health import DIVERGED, NodeHealth, State
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.settings.values import Role, parse

ADDRESS = "10.0.0.2:5432"
AT_A_NODE = f"replica_1@{ADDRESS}"
Parts = dict[str, Any]


def node(name: str = "replica_1", *, balanced: bool = False, reading: Parts, health: Parts, vitals: Parts) -> Examined:
    """Return a node that is as it should be but for what is given."""
    alias = name.partition("@")[0]
    role = Role.PRIMARY if alias == "default" else Role.REPLICA
    told = {"up": True, "role": role, "database": "gmf", "system_identifier": "42", "dialect": POSTGRESQL, **reading}
    facts = {"version": 150008, "user": "gmf", "schemas": "public", "ahead": 0.0, "receivers": 1, "restores": False}
    return Examined(
        name=name,
        alias=alias,
        config=parse("default", {"REPLICAS": {"replica_1": {"BALANCED": balanced}}}),
        health=NodeHealth(alias=name, role=role, since=0.0, **{"lag": 0.0, "migrations": "21 21", **health}),
        reading=Reading(**told),
        vitals=Vitals(**{**facts, **vitals}),
    )


PRIMARY = node("default", reading={}, health={"lag": None}, vitals={})


def said(
    name: str = "replica_1",
    *,
    balanced: bool = False,
    primary: Examined = PRIMARY,
    reading: Parts | None = None,
    health: Parts | None = None,
    **vitals: Any,
) -> list[str]:
    """Return the lines about a node that is so."""
    one = node(name, balanced=balanced, reading=reading or {}, health=health or {}, vitals=vitals)
    return [str(finding) for finding in findings_of_node(one, primary)]


def wrong(name: str = "replica_1", **so: Any) -> list[str]:
    """Return the lines that say what is wrong with it, without its name."""
    lines = said(name, **so)
    return [line.removeprefix(f"WRONG  {name}: ") for line in lines if line.startswith("WRONG")]


def test_a_replica_that_is_as_it_should_be() -> None:
    assert said() == [
        "OK     replica_1: answers the user 'gmf', PostgreSQL 15.8",
        "OK     replica_1: holds what default holds: the database 'gmf' of the system 42",
        "OK     replica_1: follows default, 0.0 s behind",
        "OK     replica_1: has replayed the migrations of default",
        "OK     replica_1: tells all that the health monitor asks",
        "OK     replica_1: lets the user read the tables of the models",
        "OK     replica_1: looks for tables in public",
        "OK     replica_1: has a clock 0.0 s from this machine's",
    ]


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ('FATAL: password authentication failed for user "gmf"', "Correct its USER and PASSWORD."),
        ('FATAL: role "gmf" does not exist', "Correct its USER, or create the role on the primary."),
        ('FATAL: database "gmf" does not exist', "Correct its NAME, or create the database on the primary."),
        (
            'FATAL: no pg_hba.conf entry for host "10.0.0.9"',
            "Let this machine in by a line of the server's pg_hba.conf",
        ),
        ('could not translate host name "db9" to address', "Correct its HOST, or mend the name server."),
        ("connection to server failed: Connection refused", "Correct its HOST and PORT, or start the server."),
        ("connection timeout expired", "Find out what hangs: the server, or a firewall before it."),
        ("SSL error: certificate verify failed", "Correct sslmode and sslrootcert in its OPTIONS."),
        ("FATAL: sorry, too many clients already", "Raise the server's max_connections, or hold fewer connections."),
        ("FATAL: unsupported startup parameter: options", "Let the pooler in between pass the startup parameter"),
        ("FATAL: Verbindung verweigert", "Correct its entry in DATABASES, or mend the server."),
    ],
)
def test_what_helps_follows_from_the_words_of_a_server(words: str, remedy: str) -> None:
    (line,) = wrong(reading={"up": False, "error": words})
    assert line.startswith(f"gives no connection: {words}. {remedy}")


def test_one_that_gives_no_connection_is_asked_no_more_and_the_others_are() -> None:
    away = node(
        "default", reading={"up": False, "dialect": None}, health={"error": "Away.", "migrations": None}, vitals={}
    )
    (only,) = findings_of_node(away, away)
    assert only.text == "gives no connection: Away."
    lines = said(primary=away, health={"lag": None})
    assert lines[1:3] == [
        "OK     replica_1: holds the database 'gmf' of the system 42",
        "OK     replica_1: is a replica; how far behind is unknown while default gives no connection",
    ]
    assert not any(line.startswith("WRONG") for line in lines)


@pytest.mark.parametrize(
    ("so", "line"),
    [
        ({"is_paused": True}, "has its replay paused. There, as a superuser: SELECT pg_wal_replay_resume()"),
        ({"receivers": 0}, "receives nothing: it is connected to no primary. See its log, and whether its primary_con"),
        ({"health": {"state": State.DOWN, "error": DIVERGED}}, f"is down. {DIVERGED} See its log, and whether its"),
        ({"health": {"state": State.LAGGING, "lag": 21.74}}, "is 21.7 s behind default, more than MAX_LAG. Find out "),
    ],
)
def test_a_replica_that_does_not_follow(so: Parts, line: str) -> None:
    (found,) = wrong(**so)
    assert found.startswith(line)
    assert found.endswith("(gmf_router.W022)")


@pytest.mark.parametrize(
    "so",
    [
        {"receivers": 0, "restores": True},
        {"receivers": 0, "restores": None},
        {"receivers": None},
        {"receivers": 0, "reading": {"dialect": AURORA}},
    ],
)
def test_a_replica_that_may_replay_something_else_needs_no_receiver(so: Parts) -> None:
    assert wrong(**so) == []


def test_a_lag_that_no_server_tells_is_not_wrong() -> None:
    assert "OK     replica_1: follows default; how far behind, the server does not tell" in said(health={"lag": None})


def test_a_primary_among_several_servers_of_an_alias_is_left_out_and_not_wrong() -> None:
    lines = said(AT_A_NODE, balanced=True, reading={"role": Role.PRIMARY}, health={"state": State.DOWN})
    assert f"OK     {AT_A_NODE}: is a primary now: it gets no reads by this alias" in lines
    assert not any(line.startswith("WRONG") for line in lines)


def test_a_system_check_names_the_server_of_an_alias_that_is_several() -> None:
    one = node(AT_A_NODE, reading={"up": False, "error": "Away"}, health={}, vitals={})
    (finding,) = findings_of_node(one, PRIMARY)
    assert finding.problem is not None
    assert finding.problem.msg == f"DATABASES['replica_1'] ({ADDRESS}) gives no connection: Away."


def test_servers_of_different_major_versions_do_not_follow_each_other() -> None:
    (found,) = wrong(version=140009, reading={"system_identifier": None})
    assert found.startswith("is no replica of 'default'. It runs PostgreSQL 14.9, its primary 15.8. Correct its HOST")
    assert wrong(version=150012) == []


def test_what_aurora_grants_nobody_is_not_wrong() -> None:
    assert wrong(reading={"dialect": AURORA.without(IDENTITY)}) == []
    (found,) = wrong(reading={"dialect": POSTGRESQL.without(IDENTITY)})
    assert found.startswith("refuses what the health monitor asks: pg_control_system. On the primary, as a superuser: ")


def test_of_many_tables_that_may_not_be_read_some_are_named() -> None:
    (found,) = wrong(unreadable=tuple("abcdefg"))
    assert found.startswith(
        "does not let the user 'gmf' read a, b, c, d, e and 2 more. On the primary: GRANT SELECT ON "
    )


@pytest.mark.parametrize(
    ("ahead", "of_primary", "line"),
    [
        (60.0, 0.0, "has a clock 60.0 s ahead of this machine's, more than 5 s."),
        (-60.0, 0.0, "has a clock 60.0 s behind this machine's, more than 5 s."),
        (-4.0, 4.0, "has a clock 8.0 s behind that of default, more than 5 s."),
    ],
)
def test_a_clock_is_compared_with_this_machines_and_the_primarys(ahead: float, of_primary: float, line: str) -> None:
    primary = node("default", reading={}, health={}, vitals={"ahead": of_primary})
    (found,) = wrong(primary=primary, ahead=ahead)
    assert found == f"{line} Let all machines take their time from the same servers (NTP). (gmf_router.W026)"
    assert wrong(primary=primary, ahead=of_primary) == []


def test_a_server_that_tells_nothing_of_a_question_has_no_line() -> None:
    lines = said(ahead=None, schemas=None, health={"migrations": None}, reading={"database": None, "role": None})
    assert [line.partition(": ")[2] for line in lines] == [
        "answers the user 'gmf', PostgreSQL 15.8",
        "follows default, 0.0 s behind",
        "tells all that the health monitor asks",
        "lets the user read the tables of the models",
    ]
