"""Is what servers and drivers say while connecting understood, in whichever language?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError, DataError, OperationalError

from django_gmf_router.postgres.sqlstates import (
    cause_of,
    is_conflict,
    is_dead,
    is_lost,
    is_mistake,
    is_refusal,
    is_time_out,
)

SERVER = 'connection to server at "127.0.0.1", port 5433 failed: '
PARAMS = {"user": "gmf", "dbname": "geo", "password": "s3cret"}
# The words of PostgreSQL's and PgBouncer's own sources, and of the translations of PostgreSQL 15.
MISTAKES = [
    'FATAL:  password authentication failed for user "gmf"',
    'FATAL:  database "geo" does not exist',
    'FATAL:  role "gmf" does not exist',
    'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "gmf", database "geo", no encryption',
    'FATAL:  unrecognized configuration parameter "serch_path"',
    "FATAL:  password authentication failed",
    "FATAL:  no such database: geo",
    "FATAL:  Passwort-Authentifizierung für Benutzer »gmf« fehlgeschlagen",
    "FATAL:  Datenbank »geo« existiert nicht",
    "FATAL:  authentification par mot de passe échouée pour l'utilisateur « gmf »",
    "FATAL:  la base de données « geo » n'existe pas",
    'ВАЖНО:  пользователь "gmf" не прошёл проверку подлинности (по паролю)',
    '致命错误:  用户 "gmf" Password 认证失败',
]
FULL = [
    "FATAL:  sorry, too many clients already",
    'FATAL:  remaining connection slots are reserved for roles with privileges of the "pg_reserved" role',
    'FATAL:  too many connections for role "gmf"',
    "FATAL:  no more connections allowed (max_client_conn)",
    "FATAL:  tut mir leid, schon zu viele Verbindungen",
    "FATAL:  désolé, trop de clients sont déjà connectés",
]
AWAY = [
    "FATAL:  the database system is shutting down",
    "FATAL:  the database system is starting up",
    "FATAL:  server login has been failing, try again later (server_login_retry)",
    "FATAL:  pgbouncer cannot connect to server",
    "FATAL:  das Datenbanksystem fährt herunter",
    "FATAL:  das Datenbanksystem startet",
    "FATAL:  le système de base de données s'arrête",
    "ВАЖНО:  система баз данных останавливается",
]
NO_ANSWER = [
    "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
    "server does not support SSL, but SSL was required",
    'root certificate file "/root.crt" does not exist\nEither provide the file or change sslmode',
    "fe_sendauth: no password supplied",
]


def refused(words: str) -> OperationalError:
    return OperationalError(f"{SERVER}{words}\n")


@pytest.mark.parametrize("words", MISTAKES)
def test_wrong_settings_are_a_mistake_and_no_outage(words: str) -> None:
    assert is_mistake(refused(words), PARAMS)
    assert is_refusal(refused(words))


@pytest.mark.parametrize("words", [*FULL, *AWAY, *NO_ANSWER])
def test_a_server_that_is_full_or_away_is_an_outage_and_no_mistake(words: str) -> None:
    assert not is_mistake(refused(words), PARAMS)


@pytest.mark.parametrize("words", FULL)
def test_a_server_that_is_full_runs(words: str) -> None:
    assert is_refusal(refused(words))
    assert not is_dead(str(refused(words)))


@pytest.mark.parametrize("words", [*AWAY[:4], *NO_ANSWER])
def test_a_server_that_is_away_does_not_refuse(words: str) -> None:
    assert not is_refusal(refused(words))


@pytest.mark.parametrize(
    ("words", "dead"),
    [
        (NO_ANSWER[0], True),
        ("server closed the connection unexpectedly", True),
        (AWAY[2], True),
        # Sessions go on while a server waits for their end (smart shutdown), where a name does not resolve, in a stall.
        (AWAY[0], False),
        ("could not translate host name to address", False),
        ("timeout expired", False),
    ],
)
def test_only_what_is_closed_or_refused_is_dead(words: str, dead: bool) -> None:
    assert is_dead(str(refused(words))) is dead


def test_the_cause_is_the_drivers_words_in_one_line_without_the_password() -> None:
    assert cause_of(refused(NO_ANSWER[0])) == f"{SERVER}Connection refused"
    assert (
        cause_of(OperationalError('missing "=" after "s3cret"'), [PARAMS["password"], None])
        == 'missing "=" after "***"'
    )
    assert cause_of(OperationalError("")) == "OperationalError"


@pytest.mark.parametrize(
    ("words", "late"), [("connection timeout expired", True), ("Connection timed out", True), (NO_ANSWER[0], False)]
)
def test_only_the_driver_says_that_an_attempt_timed_out(words: str, late: bool) -> None:
    assert is_time_out(OperationalError(words)) is late


@pytest.mark.parametrize(
    ("state", "closed", "lost"),
    [("57P05", True, True), ("57P04", True, True), ("57014", False, False), (None, True, True), ("57P01", False, True)],
)
def test_a_connection_that_is_closed_is_lost_whatever_the_sqlstate(state: str | None, closed: bool, lost: bool) -> None:
    error = OperationalError()
    cause: Any = Exception()
    cause.sqlstate = state
    error.__cause__ = cause
    assert is_lost(error, SimpleNamespace(closed=closed)) is lost
    assert not is_lost(error, None)


@pytest.mark.parametrize(
    ("state", "conflict"), [("40001", True), ("40P01", True), ("57014", False), ("55P03", False), (None, False)]
)
def test_a_conflict_with_replay_is_told_by_its_sqlstate(state: str | None, conflict: bool) -> None:
    error = OperationalError("storniere Anfrage wegen Konflikt mit der Wiederherstellung")
    cause: Any = Exception()
    cause.sqlstate = state
    error.__cause__ = cause
    assert is_conflict(error) is conflict


def test_a_bare_error_of_the_driver_that_no_server_sent_means_that_it_is_lost() -> None:
    still_open = SimpleNamespace(closed=False)
    assert is_lost(DatabaseError("server closed the connection unexpectedly"), still_open)
    assert not is_lost(DataError("no number"), still_open)
    sent = DatabaseError("refused")
    sent.sqlstate = "42501"  # type: ignore[attr-defined]
    assert not is_lost(sent, still_open)
