"""Is each format of the map servers written by its own rules?"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.services import map_servers
from django_gmf_router.services.served_clusters import served_cluster
from django_gmf_router.services.service_options import ServiceOptions
from django_gmf_router.settings import values
from tests.unit.services.samples import PASSWORD, cluster, entry, three

CITY = served_cluster(values.ClusterConfig(primary="city"), {"city": entry(HOST="db9")})
READ_ONLY = "-c default_transaction_read_only=on"
TLS = {"OPTIONS": {"sslmode": "verify-full", "sslrootcert": "/etc/root.crt", "keepalives_count": 3}}
HARD = {"NAME": 'a "b"/c', "USER": "x@y:z"}


def query(url: str) -> dict[str, str]:
    return {key: value for key, (value,) in parse_qs(urlsplit(url).query).items()}


# Martin


def test_martin_reads_from_the_replicas_and_at_last_from_the_primary() -> None:
    text = map_servers.martin([three()], ServiceOptions())
    (source,) = yaml.safe_load(text)["postgres"]
    url = source["connection_string"]
    assert url.startswith("postgresql://gmf:${PGPASSWORD}@db2:5432,db3:5432,db1:5432/gmf?")
    assert query(url) == {"connect_timeout": "2", "options": READ_ONLY}
    assert PASSWORD not in text


def test_martin_has_a_source_for_each_cluster() -> None:
    sources = yaml.safe_load(map_servers.martin([three(), CITY], ServiceOptions()))["postgres"]
    assert ["db9" in source["connection_string"] for source in sources] == [False, True]


def test_martin_is_given_certificates_in_its_own_words() -> None:
    text = map_servers.martin([cluster(primary=entry(**TLS))], ServiceOptions())
    (source,) = yaml.safe_load(text)["postgres"]
    assert source["ssl_certificates"] == {"ssl_root_cert": "/etc/root.crt"}
    assert query(source["connection_string"])["sslmode"] == "verify-full"
    assert "Left out, since Martin does not know it: keepalives_count." in text


# tipg


def dotenv(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))


def test_tipg_reads_from_the_node_that_takes_writes() -> None:
    text = map_servers.tipg([three()], ServiceOptions(passfile="/etc/pgpass"))
    url = dotenv(text)["DATABASE_URL"]
    assert url.startswith("postgresql://gmf@db1:5432,db2:5432,db3:5432/gmf?")
    assert query(url) == {"passfile": "/etc/pgpass", "target_session_attrs": "read-write"}


def test_tipg_is_given_no_keyword_that_its_driver_refuses() -> None:
    text = map_servers.tipg([cluster(primary=entry(**TLS))], ServiceOptions())
    assert query(dotenv(text)["DATABASE_URL"]).keys() == {"sslmode", "sslrootcert", "target_session_attrs"}
    assert "Left out, since tipg does not know it: connect_timeout, keepalives_count." in text


def test_tipg_looks_into_the_schemas() -> None:
    text = map_servers.tipg([three(SCHEMAS={"MAIN": "main", "STATIC": "static"})], ServiceOptions())
    assert dotenv(text)["TIPG_DB_SCHEMAS"] == '["main", "static", "public"]'


def test_a_url_holds_what_would_end_a_part_of_it() -> None:
    found = cluster(primary=entry(HOST="::1", **HARD))
    for url in (
        dotenv(map_servers.tipg([found], ServiceOptions()))["DATABASE_URL"],
        yaml.safe_load(map_servers.martin([found], ServiceOptions()))["postgres"][0]["connection_string"],
    ):
        parts = urlsplit(url)
        assert (parts.hostname, parts.port, parts.path) == ("::1", 5432, "/a%20%22b%22%2Fc")
        assert parts.username == "x%40y%3Az"


# pygeoapi


def test_pygeoapi_is_given_hosts_and_what_libpq_does_with_them() -> None:
    found = yaml.safe_load(map_servers.pygeoapi([three()], ServiceOptions()))
    assert found == {
        "data": {"host": "db2,db3,db1", "port": 5432, "dbname": "gmf", "user": "gmf", "search_path": ["public"]},
        "options": {"connect_timeout": "2", "options": READ_ONLY, "target_session_attrs": "prefer-standby"},
    }


def test_pygeoapi_looks_into_the_schemas_and_yaml_holds_what_is_no_word() -> None:
    found = cluster(primary=entry(**HARD), SCHEMAS={"MAIN": "my: main"})
    read = yaml.safe_load(map_servers.pygeoapi([found], ServiceOptions()))
    assert read["data"]["search_path"][0] == "my: main"
    assert (read["data"]["dbname"], read["data"]["user"]) == (HARD["NAME"], HARD["USER"])


def test_pygeoapi_takes_one_port() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"those of 'default' are 5432, 5433: .* gmf_services haproxy"):
        map_servers.pygeoapi([cluster(entry(PORT="5433"))], ServiceOptions())


# QGIS


def test_qgis_has_a_connection_for_each_service() -> None:
    root = ET.fromstring(map_servers.qgis([three(), CITY], ServiceOptions()))
    assert root.tag == "qgsPgConnections"
    assert [(each.get("name"), each.get("service")) for each in root] == [
        (name, name) for name in ("default_read", "default_write", "city_read", "city_write")
    ]


@pytest.mark.parametrize("render", [map_servers.tipg, map_servers.pygeoapi])
def test_a_server_with_one_database_is_given_one_cluster(render: Callable[..., Any]) -> None:
    with pytest.raises(
        ImproperlyConfigured, match="reads from one cluster, and there are default, city: say --database"
    ):
        render([three(), CITY], ServiceOptions())
