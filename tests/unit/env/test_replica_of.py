"""Does a replica's entry hold what every replica needs, and nothing of the primary's that it must not?"""

from __future__ import annotations

import pytest

from django_gmf_router.env import replica_of

READ_ONLY = "-c default_transaction_read_only=on"
OURS = "django_gmf_router.backends.postgresql"
POSTGIS = "django_gmf_router.backends.postgis"
PRIMARY = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "gis",
    "HOST": "db1",
    "ATOMIC_REQUESTS": True,
    "CONN_MAX_AGE": 60,
    "OPTIONS": {"sslmode": "require", "options": "-c search_path=main,public"},
    "TEST": {"NAME": "test_gis"},
}


def test_a_replica_differs_from_its_primary_where_it_must() -> None:
    assert replica_of(PRIMARY, HOST="db2") == {
        "ENGINE": OURS,
        "NAME": "gis",
        "HOST": "db2",
        "CONN_MAX_AGE": 60,
        "OPTIONS": {
            "sslmode": "require",
            "options": f"-c search_path=main,public {READ_ONLY}",
            "connect_timeout": 2,
        },
        "TEST": {"MIRROR": "default"},
    }


def test_the_primary_s_entry_is_left_alone() -> None:
    before = {**PRIMARY, "OPTIONS": {**PRIMARY["OPTIONS"]}, "TEST": {**PRIMARY["TEST"]}}  # type: ignore[dict-item]

    replica_of(PRIMARY, HOST="db2", OPTIONS={"sslmode": "disable"}, TEST={"DEPENDENCIES": []})

    assert before == PRIMARY


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("django.db.backends.postgresql", OURS),
        ("django.db.backends.postgresql_psycopg2", OURS),
        ("django.contrib.gis.db.backends.postgis", POSTGIS),
        (OURS, OURS),
        (POSTGIS, POSTGIS),
        ("django_prometheus.db.backends.postgresql", "django_prometheus.db.backends.postgresql"),
    ],
)
def test_postgresql_replicas_get_our_engine_where_django_s_stood_and_a_read_only_session(
    given: str, becomes: str
) -> None:
    entry = replica_of({"ENGINE": given})

    assert entry["ENGINE"] == becomes
    assert entry["OPTIONS"] == {"options": READ_ONLY, "connect_timeout": 2}


@pytest.mark.parametrize("engine", ["django.db.backends.sqlite3", "django.db.backends.mysql"])
def test_other_engines_get_no_options_of_postgresql(engine: str) -> None:
    assert replica_of({"ENGINE": engine, "NAME": "x"}) == {
        "ENGINE": engine,
        "NAME": "x",
        "TEST": {"MIRROR": "default"},
    }


def test_a_given_connect_timeout_stays() -> None:
    entry = replica_of(PRIMARY, OPTIONS={"connect_timeout": 7})

    assert entry["OPTIONS"]["connect_timeout"] == 7
    assert entry["OPTIONS"]["sslmode"] == "require"


def test_read_only_stands_last_so_that_it_wins_over_a_given_value() -> None:
    entry = replica_of(PRIMARY, OPTIONS={"options": "-c default_transaction_read_only=off"})

    assert entry["OPTIONS"]["options"] == f"-c default_transaction_read_only=off {READ_ONLY}"


def test_a_replica_of_a_replica_is_read_only_once() -> None:
    once = replica_of({"ENGINE": OURS})

    assert replica_of(once) == once


def test_atomic_requests_never_reaches_a_replica_even_when_asked_for() -> None:
    assert "ATOMIC_REQUESTS" not in replica_of(PRIMARY, ATOMIC_REQUESTS=True)


def test_the_mirror_is_the_alias_of_the_replica_s_own_primary() -> None:
    entry = replica_of(PRIMARY, mirror="city", TEST={"MIRROR": "default", "CHARSET": "UTF8"})

    assert entry["TEST"] == {"MIRROR": "city", "CHARSET": "UTF8"}
