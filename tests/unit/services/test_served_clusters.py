"""Are the nodes, their order and their logins those of DATABASES and GMF_ROUTER?"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.services.served_clusters import Service, served_cluster
from django_gmf_router.settings import values
from tests.unit.services.samples import PASSWORD, cluster, entry, three

SCHEMAS = {"MAIN": "main", "STATIC": "static", "EXTENSIONS": "public"}
READ_ONLY = "-c default_transaction_read_only=on"


def hosts(service: Service) -> list[str]:
    return [f"{node.host}:{node.port}" for node in service.nodes]


def test_readers_get_the_replicas_with_the_primary_last_and_writers_the_primary_first() -> None:
    found = three()
    assert (found.reading.name, hosts(found.reading)) == ("default_read", ["db2:5432", "db3:5432", "db1:5432"])
    assert (found.writing.name, hosts(found.writing)) == ("default_write", ["db1:5432", "db2:5432", "db3:5432"])


def test_the_replicas_stand_in_a_random_order_by_weight_with_the_primary_last() -> None:
    dice = random.Random(7)
    orders = Counter(
        tuple(hosts(three(REPLICAS={"replica_1": {"WEIGHT": 3}, "replica_2": {}}, dice=dice).reading))
        for _ in range(400)
    )
    assert set(orders) == {("db2:5432", "db3:5432", "db1:5432"), ("db3:5432", "db2:5432", "db1:5432")}
    assert 270 < orders["db2:5432", "db3:5432", "db1:5432"] < 330


def test_without_replicas_both_services_are_the_one_server() -> None:
    found = cluster()
    assert hosts(found.reading) == hosts(found.writing) == ["db1:5432"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"HOST": "a,b", "PORT": 5433}, ["a:5433", "b:5433"]),
        ({"HOST": "a,b", "PORT": "1,2"}, ["a:1", "b:2"]),
        ({"HOST": "", "OPTIONS": {"host": "/run/postgresql", "port": 5433}}, ["/run/postgresql:5433"]),
        ({"HOST": "::1"}, ["::1:5432"]),
        ({"HOST": "db1"}, []),
    ],
)
def test_hosts_may_be_lists_sockets_and_ipv6_and_stand_once(changes: dict[str, Any], expected: list[str]) -> None:
    assert hosts(cluster(entry(**changes)).reading) == [*expected, "db1:5432"]


def test_readers_log_in_as_the_replicas_do_and_writers_as_the_primary_does() -> None:
    replica = entry(HOST="db2", USER="reader", OPTIONS={"sslmode": "verify-full"})
    found = cluster(replica)
    assert (found.reading.login.user, found.reading.login.parameters["sslmode"]) == ("reader", "verify-full")
    assert (found.writing.login.user, dict(found.writing.login.parameters)) == ("gmf", {"connect_timeout": "2"})


def test_keywords_of_libpq_are_handed_on_and_neither_djangos_nor_passwords() -> None:
    options = {"sslmode": "require", "connect_timeout": 5, "isolation_level": 3, "pool": True}
    secrets = {"password": PASSWORD, "sslpassword": PASSWORD}
    found = cluster(primary=entry(OPTIONS={**options, **secrets, "passfile": "/etc/gmf/pgpass"}))
    assert found.writing.login.parameters == {
        "sslmode": "require",
        "connect_timeout": "5",
        "passfile": "/etc/gmf/pgpass",
    }
    assert PASSWORD not in repr(found)


def test_readers_have_read_only_sessions_once() -> None:
    found = cluster(entry(HOST="db2", OPTIONS={"options": f"-c jit=off {READ_ONLY}"}))
    assert found.reading.login.options == f"-c jit=off {READ_ONLY}"
    assert (three().reading.login.options, three().writing.login.options) == (READ_ONLY, "")


def test_the_schemas_become_the_search_path_with_or_without_replicas() -> None:
    path = '-c search_path="main","static","public"'
    found = three(SCHEMAS=SCHEMAS)
    assert (found.reading.login.options, found.writing.login.options) == (f"{path} {READ_ONLY}", path)
    assert cluster(SCHEMAS=SCHEMAS).writing.login.options == path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ENGINE": "django.db.backends.sqlite3"}, "is sqlite: .* choose another with --database"),
        ({"HOST": ""}, "has no HOST: name its host"),
        ({"HOST": "", "OPTIONS": {"service": "gmf"}}, "service file, which is not read: write HOST"),
        ({"OPTIONS": {"hostaddr": "10.0.0.1"}}, r"OPTIONS\['hostaddr'\].*write the address as HOST"),
        ({"HOST": "a,b,c", "PORT": "1,2"}, "has 3 hosts and 2 ports"),
        ({"HOST": "a,,b"}, "has the HOST ''"),
        ({"HOST": "db 2"}, "has the HOST 'db 2'"),
        ({"HOST": "db'2"}, "without spaces or quotes"),
        ({"PORT": "http"}, "has the PORT 'http': use a number"),
        ({"PORT": "0"}, "has the PORT '0': use a number from 1 to 65535"),
        ({"PORT": 99999}, "has the PORT '99999': use a number from 1 to 65535"),
        ({"NAME": ""}, "has no NAME"),
        ({"NAME": "gmf\n[other]"}, "has a line break, .* in NAME: remove it"),
        ({"USER": "gmf "}, "a space at an end in USER"),
        ({"OPTIONS": {"sslrootcert": "/a\nb"}}, r"in OPTIONS\['sslrootcert'\]: remove it"),
    ],
)
def test_what_cannot_be_handed_on_is_one_line_that_names_the_alias(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message) as error:
        cluster(entry(**{"HOST": "db2", **changes}))
    assert str(error.value).startswith("DATABASES['replica_1']")
    assert "\n" not in str(error.value)
    assert PASSWORD not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"USER": "other"}, "USER"), ({"NAME": "other"}, "NAME"), ({"OPTIONS": {"sslmode": "a"}}, "OPTIONS")],
)
def test_replicas_that_log_in_differently_are_refused(changes: dict[str, Any], what: str) -> None:
    message = rf"DATABASES\['replica_2'\] has another {what} than 'replica_1'"
    with pytest.raises(ImproperlyConfigured, match=message):
        cluster(entry(HOST="db2"), entry(HOST="db3", **changes))


def test_an_alias_that_is_no_name_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="use letters, digits"):
        served_cluster(values.ClusterConfig(primary="my city"), {"my city": entry()})


def test_an_alias_that_is_called_as_a_host_of_a_list_is_refused() -> None:
    databases = {"default": entry(HOST="a,b"), "default-2": entry(HOST="c")}
    config = values.ClusterConfig(primary="default", replicas=(values.ReplicaConfig(alias="default-2"),))
    with pytest.raises(ImproperlyConfigured, match="rename the alias"):
        served_cluster(config, databases)
