"""Is each format written by its own rules?"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from psycopg2.extensions import parse_dsn

from django_gmf_router.services import haproxy, libpq_clients, pgbouncer
from django_gmf_router.services.served_clusters import ServedCluster, served_cluster
from django_gmf_router.services.service_options import ServiceOptions
from django_gmf_router.settings import values
from tests.unit.services.samples import PASSWORD, cluster, entry, three

READ_ONLY = "-c default_transaction_read_only=on"
CITY = served_cluster(values.ClusterConfig(primary="city"), {"city": entry(HOST="db9")})
HARD = r"""it's a \ "path" """.strip()


def lines(text: str, mark: str = "#") -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(mark)]


# libpq


def test_a_service_file_has_values_as_they_are_and_a_section_for_each_service() -> None:
    assert lines(libpq_clients.pg_service([three()], ServiceOptions(libpq=16))) == [
        "[default_read]",
        "host=db2,db3,db1",
        "port=5432,5432,5432",
        "dbname=gmf",
        "user=gmf",
        "connect_timeout=2",
        f"options={READ_ONLY}",
        "target_session_attrs=prefer-standby",
        "load_balance_hosts=random",
        "[default_write]",
        "host=db1,db2,db3",
        "port=5432,5432,5432",
        "dbname=gmf",
        "user=gmf",
        "connect_timeout=2",
        "target_session_attrs=read-write",
    ]


def test_several_clusters_have_services_of_their_own() -> None:
    text = libpq_clients.pg_service([three(), CITY], ServiceOptions())
    assert [line for line in lines(text) if line.startswith("[")] == [
        "[default_read]",
        "[default_write]",
        "[city_read]",
        "[city_write]",
    ]


@pytest.mark.parametrize(
    ("version", "attributes", "balance"),
    [(10, "any", None), (13, "any", None), (14, "prefer-standby", None), (16, "prefer-standby", "random")],
)
def test_an_older_libpq_gets_no_keyword_that_it_does_not_know(
    version: int, attributes: str, balance: str | None
) -> None:
    found = libpq_clients.keywords(three().reading, ServiceOptions(libpq=version))
    assert (found["target_session_attrs"], found.get("load_balance_hosts")) == (attributes, balance)


def test_a_keyword_of_a_newer_libpq_is_refused() -> None:
    found = cluster(primary=entry(OPTIONS={"require_auth": "scram-sha-256"}))
    with pytest.raises(ImproperlyConfigured, match=r"OPTIONS\['require_auth'\] .* say --libpq 16"):
        libpq_clients.keywords(found.writing, ServiceOptions(libpq=14))
    assert libpq_clients.keywords(found.writing, ServiceOptions(libpq=16))["require_auth"] == "scram-sha-256"


def test_a_line_that_libpq_would_cut_is_refused() -> None:
    many = cluster(entry(HOST=",".join(f"database-{number}.example.org" for number in range(50))))
    with pytest.raises(ImproperlyConfigured, match="host of default_read is longer than the 1000 bytes"):
        libpq_clients.pg_service([many], ServiceOptions())
    some = cluster(entry(HOST=",".join(f"database-{number}.example.org" for number in range(12))))
    assert libpq_clients.pg_service([some], ServiceOptions())
    with pytest.raises(ImproperlyConfigured, match="250 bytes"):
        libpq_clients.pg_service([some], ServiceOptions(libpq=13))


def test_the_driver_reads_a_connection_string_as_it_was_meant() -> None:
    found = cluster(entry(HOST="::1", NAME=HARD), primary=entry(NAME=HARD), SCHEMAS={"MAIN": HARD})
    text = libpq_clients.connection_strings([found], ServiceOptions(passfile="/etc/my pass'file"))
    reading, writing = lines(text)
    for service, string in ((found.reading, reading), (found.writing, writing)):
        wanted = libpq_clients.keywords(service, ServiceOptions(passfile="/etc/my pass'file"))
        assert parse_dsn(string) == wanted
        assert wanted["passfile"] == "/etc/my pass'file"


def test_passwords_are_lines_to_fill_in_and_colons_in_them_are_escaped() -> None:
    text = libpq_clients.connection_strings([cluster(entry(HOST="fe80::1%eth0"))], ServiceOptions())
    assert r"#   fe80\:\:1%eth0:5432:gmf:gmf:<password>" in text.splitlines()
    assert PASSWORD not in text


def test_a_socket_in_libpqs_own_directory_is_localhost_in_a_passfile() -> None:
    def passfile(host: str) -> list[str]:
        text = libpq_clients.connection_strings([cluster(primary=entry(HOST=host))], ServiceOptions())
        return [line.strip("# ") for line in text.splitlines() if line.endswith("<password>")]

    assert passfile("/var/run/postgresql") == [
        "/var/run/postgresql:5432:gmf:gmf:<password>",
        "localhost:5432:gmf:gmf:<password>",
    ]
    assert passfile("/srv/sockets") == ["/srv/sockets:5432:gmf:gmf:<password>"]


# MapServer


def test_a_layer_of_mapserver_reads_from_the_read_service() -> None:
    assert lines(libpq_clients.mapserver_layer([three()], ServiceOptions())) == [
        "CONNECTIONTYPE POSTGIS",
        'CONNECTION "service=default_read"',
        'PROCESSING "CLOSE_CONNECTION=DEFER"',
    ]


def test_a_layer_of_mapserver_has_one_cluster() -> None:
    with pytest.raises(ImproperlyConfigured, match="there are default, city: say --database"):
        libpq_clients.mapserver_layer([three(), CITY], ServiceOptions())


# HAProxy


def section(text: str, title: str) -> list[str]:
    part = text.partition(f"\n{title}\n")[2].partition("\n\n")[0]
    return lines(part)


def test_haproxy_sends_writers_to_the_primary_and_readers_there_last() -> None:
    text = haproxy.configuration(
        [three(REPLICAS={"replica_1": {"WEIGHT": 4}, "replica_2": {}}), CITY], ServiceOptions()
    )
    assert section(text, "frontend default_write") == ["bind 127.0.0.1:30100", "default_backend default_primary"]
    assert section(text, "frontend default_read") == [
        "bind 127.0.0.1:30101",
        "use_backend default_primary if { nbsrv(default_replicas) eq 0 }",
        "default_backend default_replicas",
    ]
    assert section(text, "backend default_primary") == ["option pgsql-check user gmf", "server default db1:5432 check"]
    assert section(text, "backend default_replicas") == [
        "balance leastconn",
        "option pgsql-check user gmf",
        "server replica_1 db2:5432 check weight 256",
        "server replica_2 db3:5432 check weight 64",
    ]
    assert section(text, "frontend city_read")[0] == "bind 127.0.0.1:30103"


def test_patronis_answers_say_which_of_all_nodes_is_the_primary() -> None:
    text = haproxy.configuration([three()], ServiceOptions(patroni_port=8008, listen="::", port=5000))
    assert section(text, "frontend default_read")[0] == "bind [::]:5001"
    for role in ("primary", "replica"):
        found = section(text, f"backend default_{'replicas' if role == 'replica' else role}")
        assert f"http-check send meth OPTIONS uri /{role}" in found
        assert [line for line in found if line.startswith("server")] == [
            f"server {name} {host}:5432 check port 8008"
            for name, host in (("default", "db1"), ("replica_1", "db2"), ("replica_2", "db3"))
        ]


def test_a_session_without_a_password_says_it_too() -> None:
    found = haproxy.role_checks(three(), ServiceOptions(check_user="probe"))
    (sent,) = (line for line in found.primary if "send-binary" in line)
    packet = bytes.fromhex(sent.split()[-1])
    assert packet[8:] == b"user\0probe\0database\0postgres\0\0X\0\0\0\4"
    assert int.from_bytes(packet[:4], "big") == len(packet) - 5
    assert found.primary[-1].endswith(b"in_hot_standby\0off\0".hex())
    assert found.replica[-1].endswith(b"in_hot_standby\0on\0".hex())
    assert [node.name for node in found.candidates] == ["default", "replica_1", "replica_2"]


@pytest.mark.parametrize(
    ("primary", "message"),
    [
        ({"HOST": "a,b"}, "several hosts.* say --patroni-port PORT, or --check-user ROLE"),
        ({"USER": ""}, "has no USER: HAProxy's check needs the name of a role"),
        ({"HOST": "/run/postgresql"}, "is reached by a Unix socket"),
    ],
)
def test_what_haproxy_cannot_do_is_one_line(primary: dict[str, Any], message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message):
        haproxy.configuration([cluster(primary=entry(**primary))], ServiceOptions())


@pytest.mark.parametrize(("port", "clusters", "last"), [(65535, 1, 65536), (65533, 2, 65536)])
def test_ports_beyond_the_last_one_are_refused(port: int, clusters: int, last: int) -> None:
    found = [three(), CITY][:clusters]
    with pytest.raises(ImproperlyConfigured, match=f"--port {port} leads to {last}, .* say a lower one"):
        haproxy.configuration(found, ServiceOptions(port=port))
    assert ":65535\n" in haproxy.configuration(found, ServiceOptions(port=port - 1))


@pytest.mark.parametrize("listen", ["127.0.0.1", "::", "fe80::1%eth0", "*", "localhost", "proxy-1.example.org"])
def test_an_address_to_listen_on_is_taken(listen: str) -> None:
    assert ServiceOptions(listen=listen).listen == listen


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"listen": ""}, "--listen '' is no address"),
        ({"listen": "a b"}, "--listen 'a b' is no address"),
        ({"listen": "[::1]"}, "IPv6 without brackets"),
        ({"listen": "127.0.0.1:80"}, "is no address"),
        ({"listen": "a\nb"}, "is no address"),
        ({"check_user": ""}, "--check-user '' cannot stand in the file"),
        ({"check_user": "a\nb"}, "--check-user"),
        ({"port": 0}, "--port 0 is no port"),
        ({"patroni_port": 65536}, "--patroni-port 65536 is no port"),
        ({"libpq": 9}, "--libpq 9 knows no lists of hosts"),
        ({"userlist": "/a\nb"}, "--userlist"),
    ],
)
def test_options_that_no_file_can_have_are_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(message)):
        ServiceOptions(**given)


def test_the_role_of_a_check_is_quoted_for_sql_where_it_needs_it() -> None:
    found = haproxy.role_checks(three(), ServiceOptions(check_user="My Probe"))
    assert 'CREATE ROLE "My Probe" LOGIN' in found.primary[0]


def test_a_role_is_quoted_for_haproxy() -> None:
    text = haproxy.configuration([cluster(primary=entry(USER="my role"))], ServiceOptions())
    assert "option pgsql-check user 'my role'" in section(text, "backend default_primary")


# PgBouncer


def test_pgbouncer_offers_the_services_and_each_alias() -> None:
    text = pgbouncer.configuration([three()], ServiceOptions())
    databases, _, settings = text.partition("[pgbouncer]")
    assert lines(databases.partition("[databases]")[2], ";") == [
        "default_write = host=db1 port=5432 dbname=gmf",
        "default_read = host=db2,db3 port=5432 dbname=gmf",
        "default = host=db1 port=5432 dbname=gmf",
        "replica_1 = host=db2 port=5432 dbname=gmf",
        "replica_2 = host=db3 port=5432 dbname=gmf",
    ]
    assert "auth_file = /etc/pgbouncer/userlist.txt" in lines(settings)
    assert "ignore_startup_parameters = extra_float_digits,options" in lines(settings)


def test_a_list_of_pgbouncer_has_one_port_and_what_is_left_out_is_said() -> None:
    text = pgbouncer.configuration(
        [cluster(entry(HOST="db2"), entry(HOST="db3", PORT=5433), entry(HOST="db4"))], ServiceOptions()
    )
    assert "default_read = host=db2,db4 port=5432 dbname=gmf" in text.splitlines()
    assert "; A list of hosts has one port: default_read leaves out replicas that are not on 5432." in text.splitlines()


def test_without_replicas_pgbouncer_reads_from_the_primary() -> None:
    assert "default_read = host=db1 port=5432 dbname='my ''db'" in pgbouncer.configuration(
        [cluster(primary=entry(NAME="my 'db"))], ServiceOptions()
    )


def statements(found: ServedCluster, *, own_role: bool = True) -> list[str]:
    text = pgbouncer.configuration([found], ServiceOptions(own_role=own_role))
    return [line.strip("; ") for line in text.splitlines() if "ALTER ROLE" in line]


SCHEMAS = {"MAIN": "main", "STATIC": "static", "EXTENSIONS": "public"}
ALTER = 'ALTER ROLE "gmf" IN DATABASE "gmf" SET'


def test_what_pgbouncer_does_not_hand_on_is_set_for_the_roles() -> None:
    assert statements(cluster(entry(HOST="db2", USER="reader"), SCHEMAS=SCHEMAS)) == [
        f'{ALTER} search_path = "main", "static", "public"',
        'ALTER ROLE "reader" IN DATABASE "gmf" SET search_path = "main", "static", "public"',
        'ALTER ROLE "reader" IN DATABASE "gmf" SET default_transaction_read_only = ' + "'on'",
    ]


def test_a_search_path_is_no_setting_of_a_role_that_another_server_may_have() -> None:
    by_hand = entry(OPTIONS={"options": "-c search_path=main,static"})
    for found in (cluster(SCHEMAS=SCHEMAS), cluster(primary=by_hand)):
        with pytest.raises(ImproperlyConfigured, match=r"the role gmf .* a role of its own, then say --own-role"):
            statements(found, own_role=False)


def test_the_site_s_own_options_are_set_for_the_roles_too() -> None:
    options = r"""-c statement_timeout=5s -c search_path=Geo,"Odd\ one",public --datestyle=ISO,DMY"""
    options += " -c jit='off' -c gmf.a;b=1"
    assert statements(cluster(primary=entry(OPTIONS={"options": options}))) == [
        f"{ALTER} statement_timeout = '5s'",
        f'{ALTER} search_path = "geo", "Odd one", "public"',
        f"{ALTER} datestyle = 'ISO,DMY'",
        f"{ALTER} jit = " + "'''off'''",
        f"{ALTER} gmf.\"a;b\" = '1'",
    ]


def test_options_that_only_the_replicas_have_are_no_settings_of_a_role_that_writes() -> None:
    found = cluster(entry(HOST="db2", OPTIONS={"options": "-c statement_timeout=5s"}))
    text = pgbouncer.configuration([found], ServiceOptions())
    assert statements(found) == []
    assert ";   (Not statement_timeout = 5s: gmf is the role of default_write, too. Another USER" in text.splitlines()


def test_a_role_that_writes_is_never_made_read_only() -> None:
    assert statements(three()) == []


def test_pgbouncer_speaks_tls_as_the_aliases_do() -> None:
    options = {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem"}
    text = pgbouncer.configuration([cluster(primary=entry(OPTIONS=options))], ServiceOptions())
    assert {"server_tls_sslmode = verify-full", "server_tls_ca_file = /etc/ca.pem"} <= set(text.splitlines())


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (cluster(primary=entry(HOST="a,b")), "several hosts, and PgBouncer cannot tell"),
        (cluster(entry(HOST="db2", OPTIONS={"sslmode": "require"})), "PgBouncer has one server_tls_sslmode"),
        (
            served_cluster(
                values.ClusterConfig(primary="default", replicas=(values.ReplicaConfig(alias="default_read"),)),
                {"default": entry(), "default_read": entry(HOST="db2")},
            ),
            "two databases 'default_read', a service and an alias: rename the alias",
        ),
    ],
)
def test_what_pgbouncer_cannot_do_is_one_line(found: ServedCluster, message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message):
        pgbouncer.configuration([found], ServiceOptions())
