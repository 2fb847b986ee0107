"""Does a name that is several servers keep its addresses while it fails, and take new ones when it changes?"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import pytest

from django_gmf_router.replicas.addresses import RESOLVE_SECONDS, AddressBook, addresses, is_expandable

ENTRY = {"HOST": "replicas.test", "PORT": 6543, "OPTIONS": {}}


class Names:
    """A name server and a clock."""

    def __init__(self, **entry: Any) -> None:
        self.now = 0.0
        self.asked = 0
        self.known: dict[str, list[str]] = {"replicas.test": ["127.0.0.2", "127.0.0.3"]}
        self.book = AddressBook({"replica": {**ENTRY, **entry}}, self.resolve, lambda: self.now)

    def resolve(self, host: str, port: str) -> Iterable[str]:
        self.asked += 1
        if host not in self.known:
            raise OSError("Name or service not known")
        return self.known[host]

    def later(self) -> tuple[str, ...]:
        self.now += RESOLVE_SECONDS
        return self.book.look_up("replica")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, True),
        ({"HOST": "a,b"}, True),
        ({"HOST": "127.0.0.1"}, True),
        ({"HOST": ""}, False),
        ({"HOST": "/var/run/postgresql"}, False),
        ({"HOST": "a,/var/run/postgresql"}, False),
        ({"OPTIONS": {"service": "gis"}}, False),
        ({"OPTIONS": {"hostaddr": "127.0.0.2"}}, False),
    ],
)
def test_only_names_can_be_looked_up(entry: dict[str, Any], expected: bool) -> None:
    assert is_expandable({**ENTRY, **entry}) is expected


def test_each_address_is_a_node_with_what_libpq_needs_to_reach_it_alone() -> None:
    names = Names()
    nodes = names.book.nodes("replica")
    assert nodes == ("replica@127.0.0.2:6543", "replica@127.0.0.3:6543")
    assert names.book.params(nodes[1]) == {"host": "replicas.test", "hostaddr": "127.0.0.3", "port": "6543"}
    assert [names.book.alias_of(node) for node in (*nodes, "replica", "default", "at@home")] == [
        *["replica"] * 3,
        "default",
        "at@home",
    ]


def test_a_list_of_hosts_has_a_port_for_each_or_one_for_all() -> None:
    names = Names(HOST="a,b", PORT="1,2")
    names.known = {"a": ["10.0.0.1"], "b": ["::1"]}
    assert names.book.nodes("replica") == ("replica@10.0.0.1:1", "replica@[::1]:2")
    names = Names(HOST="a,b", PORT="")
    names.known = {"a": ["10.0.0.1"], "b": ["::1"]}
    assert names.book.nodes("replica") == ("replica@10.0.0.1:5432", "replica@[::1]:5432")


def test_the_name_server_is_asked_once_in_a_while() -> None:
    names = Names()
    for _ in range(3):
        names.book.look_up("replica")
        names.book.nodes("replica")
    assert names.asked == 1
    names.later()
    assert names.asked == 2


def test_while_a_name_fails_its_addresses_hold_and_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    names = Names()
    known = names.book.nodes("replica")
    held = names.known.pop("replicas.test")
    with caplog.at_level(logging.INFO, "django_gmf_router"):
        assert [names.later() for _ in range(3)] == [known] * 3
        assert [record.getMessage() for record in caplog.records] == [
            "The host replicas.test of replica does not resolve, the addresses known so far are kept: "
            "Name or service not known"
        ]
        names.known["replicas.test"] = held
        names.later()
        names.known.clear()
        names.later()
    assert len(caplog.records) == 2


def test_a_name_without_any_address_keeps_those_it_had() -> None:
    names = Names()
    known = names.book.nodes("replica")
    names.known["replicas.test"] = []
    assert names.later() == known


def test_a_name_that_changes_has_its_new_addresses_and_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    names = Names()
    names.book.nodes("replica")
    names.known["replicas.test"] = ["127.0.0.3", "127.0.0.4"]
    with caplog.at_level(logging.INFO, "django_gmf_router"):
        assert [names.later() for _ in range(2)] == [("replica@127.0.0.3:6543", "replica@127.0.0.4:6543")] * 2
    assert len(caplog.records) == 1


def test_a_name_that_never_resolved_is_left_to_libpq() -> None:
    names = Names()
    names.known.clear()
    assert names.book.nodes("replica") == ("replica",)
    assert names.book.params("replica") == {}


def test_the_resolver_of_the_machine_is_asked() -> None:
    assert "127.0.0.1" in addresses("127.0.0.1", "5432")
