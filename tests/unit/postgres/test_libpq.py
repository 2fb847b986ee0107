"""Do both drivers tell which keywords their libpq knows, and which of several hosts is tried when?"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

from django_gmf_router.postgres.libpq import KEYWORDS_SINCE, is_keyword, try_hosts

VERSIONS = {"psycopg": "psycopg.pq:version", "psycopg2": "psycopg2.extensions:libpq_version"}


def libpq_of(name: str) -> int:
    """Return the major version of the libpq that a driver is built with."""
    module, _, function = VERSIONS[name].partition(":")
    return int(getattr(import_module(module), function)()) // 10000


# A site has one of them, and so has one environment of the matrix.
DRIVERS = [pytest.param(import_module(name), libpq_of(name), id=name) for name in VERSIONS if find_spec(name)]


@pytest.mark.parametrize(("driver", "_version"), DRIVERS)
def test_libpq_tells_its_keywords_from_the_drivers_and_djangos(driver: Any, _version: int) -> None:
    assert all(is_keyword(name, driver) for name in ("sslmode", "sslrootcert", "keepalives_idle", "passfile"))
    others = ("pool", "isolation_level", "server_side_binding", "cursor_factory", "", "sslmode=x host", "ssl mode")
    assert not any(is_keyword(name, driver) for name in others)


@pytest.mark.parametrize(("driver", "version"), DRIVERS)
def test_every_newer_keyword_is_one_of_a_libpq_that_is_new_enough(driver: Any, version: int) -> None:
    known = {name for name in KEYWORDS_SINCE if is_keyword(name, driver)}
    assert known == {name for name, since in KEYWORDS_SINCE.items() if since <= version}


class Refused(Exception):
    """What a driver raises where it cannot connect."""


class Driver:
    """A driver all of whose hosts refuse, but one."""

    OperationalError = Refused

    def __init__(self, serves: dict[str, Any] | None = None) -> None:
        self.tried: list[dict[str, Any]] = []
        self._serves = serves

    def connect(self, params: dict[str, Any]) -> str:
        self.tried.append(params)
        if params != self._serves:
            raise Refused(f"{params.get('host')} refuses\n")
        return "connected"


def tried(**params: Any) -> list[dict[str, Any]]:
    """Return the parameters of each attempt to connect."""
    driver = Driver()
    with pytest.raises(Refused):
        try_hosts(driver.connect, params, driver)
    return driver.tried


@pytest.mark.parametrize(
    ("params", "attempts"),
    [
        ({"host": "a,b", "port": "1,2"}, [{"host": "a", "port": "1"}, {"host": "b", "port": "2"}]),
        ({"host": "a,b", "port": 5432}, [{"host": "a", "port": 5432}, {"host": "b", "port": 5432}]),
        ({"host": "a,b"}, [{"host": "a"}, {"host": "b"}]),
        ({"host": "a,/run"}, [{"host": "a"}, {"host": "/run"}]),
        ({"hostaddr": "::1,::2"}, [{"hostaddr": "::1"}, {"hostaddr": "::2"}]),
        (
            {"host": "a,b", "hostaddr": "::1,::2", "sslmode": "verify-full"},
            [
                {"host": "a", "hostaddr": "::1", "sslmode": "verify-full"},
                {"host": "b", "hostaddr": "::2", "sslmode": "verify-full"},
            ],
        ),
        (
            {"host": "a,b", "target_session_attrs": "prefer-standby"},
            [
                {"host": "a", "target_session_attrs": "standby"},
                {"host": "b", "target_session_attrs": "standby"},
                {"host": "a", "target_session_attrs": "any"},
                {"host": "b", "target_session_attrs": "any"},
            ],
        ),
    ],
)
def test_each_host_is_tried_alone_as_libpq_reads_the_lists(
    params: dict[str, Any], attempts: list[dict[str, Any]]
) -> None:
    assert tried(**params) == attempts


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"host": "a", "port": "1"},
        {"host": "a,b", "service": "gis"},
        {"host": "a,b", "port": "1,2,3"},
        {"host": "a", "hostaddr": "::1,::2"},
    ],
)
def test_one_host_and_lists_that_do_not_fit_are_left_to_libpq(params: dict[str, Any]) -> None:
    assert tried(**params) == [params]


def test_hosts_of_the_environment_are_a_list_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "a,b")
    monkeypatch.setenv("PGPORT", "1,2")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "prefer-standby")
    assert [(each["host"], each["port"], each["target_session_attrs"]) for each in tried(user="gis")] == [
        ("a", "1", "standby"),
        ("b", "2", "standby"),
        ("a", "1", "any"),
        ("b", "2", "any"),
    ]


def test_hosts_that_shall_share_the_load_are_tried_in_any_order() -> None:
    first = {tried(host="a,b", load_balance_hosts="random")[0]["host"] for _ in range(64)}
    assert first == {"a", "b"}
    assert {tried(host="a,b", load_balance_hosts="disable")[0]["host"] for _ in range(64)} == {"a"}


def test_the_first_that_can_be_had_is_taken() -> None:
    driver = Driver(serves={"host": "b"})
    assert try_hosts(driver.connect, {"host": "a,b,c"}, driver) == "connected"
    assert driver.tried == [{"host": "a"}, {"host": "b"}]


def test_the_error_tells_what_each_host_said() -> None:
    driver = Driver()
    with pytest.raises(Refused) as raised:
        try_hosts(driver.connect, {"host": "a,b"}, driver)
    assert str(raised.value) == "a refuses\nb refuses\n"
