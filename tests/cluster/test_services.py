"""Do the programs that the configuration is for reach the right nodes with it, also when some are dead?"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import pytest

from django_gmf_router.postgres.programs import VARIABLE
from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import find_programs, free_ports, is_free, server_account
from django_gmf_router.testing.plugin import refuse
from testproject import postgis
from tests.cluster import fastcgi, programs
from tests.cluster.sites import environment, manage
from tests.unit.docs.pages import blocks, names
from tests.waiting import until

WHERE = "SELECT inet_server_port(), pg_is_in_recovery(), current_setting('transaction_read_only')"
PATIENCE_SECONDS = 10
PROBE = "gmf_probe"


class Kit(NamedTuple):
    """The cluster and a directory for what is written."""

    cluster: LocalCluster
    directory: Path
    password: str

    def write(self, name: str, *args: str, router: dict[str, Any] | None = None) -> str:
        """Write a format to a file; answer its path."""
        path = str(self.directory / name)
        done = manage(environment(self.cluster, router=router), "gmf_services", *args, "--output", path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert self.password not in Path(path).read_text()
        return path

    def port(self, node: str) -> int:
        return self.cluster.port(node)

    @property
    def replicas(self) -> set[int]:
        return {self.port("replica_1"), self.port("replica_2")}

    def env(self, service_file: str) -> dict[str, str]:
        """Return the environment of a service: what libpq reads, nothing of the caller's."""
        return {"PATH": programs.PATH, "PGSERVICEFILE": service_file, "PGPASSFILE": str(self.directory / "pgpass")}

    def where(self, port: int, dbname: str | None = None) -> tuple[Any, ...]:
        """Return the node behind a port, and whether it is a replica and the session read-only."""
        login = {"user": "gmf", "password": self.password, "connect_timeout": 5}
        with closing(psycopg2.connect(host="127.0.0.1", port=port, dbname=dbname or "gmf", **login)) as connection:
            cursor = connection.cursor()
            cursor.execute(WHERE)
            return cursor.fetchone() or ()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """A cluster, with PostGIS where there is one."""
    directory = tmp_path_factory.mktemp("services")
    with LocalCluster(bin_dir=postgis.bin_dir()) as cluster:
        password = cluster.databases()["default"]["PASSWORD"]
        server_account().write_private(directory / "pgpass", f"*:*:*:gmf:{password}\n")
        if postgis.bin_dir() is not None:
            cluster.execute("primary", "CREATE EXTENSION postgis", timeout_seconds=60)
            cluster.execute(
                "primary", "CREATE TABLE place AS SELECT 1 AS id, ST_MakeEnvelope(0, 0, 9, 9, 4326) AS geom"
            )
            cluster.execute("primary", "GRANT SELECT ON place TO gmf")
            cluster.wait_for_replay()
        yield Kit(cluster, directory, password)


@pytest.fixture
def kit(standing: Kit) -> Iterator[Kit]:
    """The cluster, whole at the start of each test."""
    yield standing
    standing.cluster.heal()


def require(*names: str) -> None:
    if lacking := programs.missing(*names):
        refuse(f"{__name__} needs {lacking}")


def until_it_is(expected: Any, what: Callable[[], Any]) -> None:
    """Wait until a server has noticed what happened."""
    until(lambda: outcome(what) == expected, PATIENCE_SECONDS, lambda: f"{outcome(what)} is {expected}")


def outcome(what: Callable[[], Any]) -> Any:
    try:
        return what()
    except psycopg2.OperationalError as error:
        return str(error)


# psql and ogrinfo through the service file


def psql(program: str, kit: Kit, service: str, service_file: str) -> tuple[int, bool, bool]:
    """Return the port of the node, whether it is a replica, and whether the session is read-only."""
    command = [program, "-XAtw", "-c", WHERE, f"service={service}"]
    done = subprocess.run(command, env=kit.env(service_file), capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    port, recovering, read_only = done.stdout.strip().split("|")
    return int(port), recovering == "t", read_only == "on"


@pytest.fixture
def system_psql() -> str:
    require("psql")
    return programs.find("psql") or ""


def test_the_read_service_reaches_a_replica_and_the_write_service_the_primary(kit: Kit, system_psql: str) -> None:
    file = kit.write("pg_service.conf", "pg_service")
    port, recovering, read_only = psql(system_psql, kit, "default_read", file)
    assert (port in kit.replicas, recovering, read_only) == (True, True, True)
    assert psql(system_psql, kit, "default_write", file) == (kit.port("primary"), False, False)


def test_the_read_service_passes_dead_replicas_over_and_ends_at_the_primary(kit: Kit, system_psql: str) -> None:
    file = kit.write("pg_service.conf", "pg_service")
    kit.cluster.kill("replica_1")
    assert psql(system_psql, kit, "default_read", file) == (kit.port("replica_2"), True, True)
    kit.cluster.kill("replica_2")
    assert psql(system_psql, kit, "default_read", file) == (kit.port("primary"), False, True)


def test_libpq_16_gives_each_connection_its_own_order_with_the_primary_last(kit: Kit) -> None:
    program = str(find_programs().directory / "psql")
    if programs.major_version(program) < 16:
        without = pytest.skip if VARIABLE in os.environ else refuse  # an older one may have been asked for
        without(f"{__name__} needs psql of PostgreSQL 16 or later in {find_programs().directory}")
    file = kit.write("pg_service.conf", "pg_service", "--libpq", "16")
    assert {psql(program, kit, "default_read", file)[0] for _ in range(20)} == kit.replicas
    assert {psql(program, kit, "default_write", file)[0] for _ in range(5)} == {kit.port("primary")}


def test_a_connection_string_works_as_it_is_printed(kit: Kit, system_psql: str) -> None:
    passfile = str(kit.directory / "pgpass")
    schemas = {"SCHEMAS": {"MAIN": "my main", "STATIC": "static", "EXTENSIONS": "public"}}
    text = Path(kit.write("libpq", "libpq", "--passfile", passfile, router=schemas)).read_text()
    strings = [line for line in text.splitlines() if line and not line.startswith("#")]
    shown = []
    for string in strings:
        command = [system_psql, "-XAtw", "-c", "SHOW search_path", "-c", "SELECT pg_is_in_recovery()", string]
        done = subprocess.run(
            command, env={"PATH": programs.PATH}, capture_output=True, text=True, timeout=30, check=True
        )
        shown.append(done.stdout.splitlines())
    path = '"my main","static","public"'
    assert shown == [[path, "t"], [path, "f"]]


def test_ogrinfo_reads_from_a_replica(kit: Kit) -> None:
    require("ogrinfo")
    file = kit.write("pg_service.conf", "pg_service")
    command = ["ogrinfo", "-ro", "-q", "PG:service=default_read", "-sql", "SELECT pg_is_in_recovery()::text AS replica"]
    done = subprocess.run(command, env=kit.env(file), capture_output=True, text=True, check=False, timeout=30)
    assert "replica (String) = true" in done.stdout, done.stderr


# HAProxy


@pytest.fixture
def haproxy(kit: Kit) -> Callable[..., Any]:
    """Start HAProxy on the file that is written with some options, on the ports that it is given."""
    require("haproxy")

    def start(port: int, *options: str) -> Any:
        file = kit.write("haproxy.cfg", "haproxy", "--port", str(port), *options)
        command = [str(programs.find("haproxy")), "-db", "-f", file]
        return programs.running(command, port, kit.directory / "haproxy.log")

    return start


def two_ports() -> int:
    """Return the first of two free ports in a row."""
    return next(port for port in iter(lambda: free_ports(1)[0], None) if is_free(port + 1))


def test_haproxy_has_a_port_for_the_primary_and_one_for_the_replicas(kit: Kit, haproxy: Callable[..., Any]) -> None:
    write = two_ports()
    with haproxy(write):
        # Waited for: on a machine that is busy the first checks may come too late, and cut what is open.
        until_it_is((kit.port("primary"), False, "off"), lambda: kit.where(write))
        until_it_is(kit.replicas, lambda: {kit.where(write + 1)[0] for _ in range(8)})
        kit.cluster.kill("replica_1")
        until_it_is({kit.port("replica_2")}, lambda: {kit.where(write + 1)[0] for _ in range(8)})
        kit.cluster.kill("replica_2")
        until_it_is((kit.port("primary"), False, "off"), lambda: kit.where(write + 1))
        kit.cluster.restart("replica_1")
        until_it_is(kit.port("replica_1"), lambda: kit.where(write + 1)[0])


def test_haproxy_finds_the_new_primary_with_a_check_user(kit: Kit, haproxy: Callable[..., Any]) -> None:
    trust(kit.cluster)
    write = two_ports()
    with haproxy(write, "--check-user", PROBE):
        until_it_is(kit.port("primary"), lambda: kit.where(write)[0])
        until_it_is(kit.replicas, lambda: {kit.where(write + 1)[0] for _ in range(8)})
        kit.cluster.kill("primary")
        kit.cluster.promote("replica_1")
        until_it_is((kit.port("replica_1"), False, "off"), lambda: kit.where(write))
        until_it_is({kit.port("replica_2")}, lambda: {kit.where(write + 1)[0] for _ in range(8)})
        # The service file needs no HAProxy for it.
        file = kit.write("pg_service.conf", "pg_service")
        assert psql(str(find_programs().directory / "psql"), kit, "default_write", file)[0] == kit.port("replica_1")


def trust(cluster: LocalCluster) -> None:
    """Let the role of the checks log in without a password, as the file says."""
    cluster.execute("primary", f"CREATE ROLE {PROBE} LOGIN")
    cluster.wait_for_replay()
    for node in cluster.nodes:
        ((path,),) = cluster.execute(node, "SHOW hba_file")
        rules = Path(str(path))
        rules.write_text(f"host postgres {PROBE} 127.0.0.1/32 trust\n{rules.read_text()}")
        cluster.execute(node, "SELECT pg_reload_conf()")


# PgBouncer


def test_pgbouncer_offers_the_services_and_each_node(kit: Kit) -> None:
    require("pgbouncer")
    account = server_account()
    userlist = kit.cluster.directory / "userlist.txt"
    (port,) = free_ports(1)
    account.write_private(userlist, f'"gmf" "{kit.password}"\n')
    file = kit.write("pgbouncer.ini", "pgbouncer", "--port", str(port), "--userlist", str(userlist))
    text = Path(file).read_text()
    account.write_private(kit.cluster.directory / "pgbouncer.ini", text)
    command = [str(programs.find("pgbouncer")), str(kit.cluster.directory / "pgbouncer.ini")]
    with programs.running(command, port, kit.directory / "pgbouncer.log", account):
        assert kit.where(port, "default_write") == (kit.port("primary"), False, "off")
        assert kit.where(port, "default_read")[0] in kit.replicas
        for alias in ("replica_1", "replica_2"):
            assert kit.where(port, alias) == (kit.port(alias), True, "on")


def test_pgbouncers_statements_give_the_role_what_options_would(kit: Kit) -> None:
    schemas = {"SCHEMAS": {"MAIN": "My main", "STATIC": "static", "EXTENSIONS": "public"}}
    text = Path(kit.write("own.ini", "pgbouncer", "--own-role", router=schemas)).read_text()
    for statement in (line.strip("; ") for line in text.splitlines() if "ALTER ROLE" in line):
        kit.cluster.execute("primary", statement)
    with closing(psycopg2.connect(kit.cluster.dsn("primary"))) as connection:
        cursor = connection.cursor()
        cursor.execute("SHOW search_path")
        assert cursor.fetchone() == ('"My main", static, public',)
    kit.cluster.execute("primary", "ALTER ROLE gmf IN DATABASE gmf RESET ALL")


THEMES = """
SET ROLE office; CREATE SCHEMA main_{server}; CREATE TABLE main_{server}.theme AS SELECT '{server}' AS name; RESET ROLE
"""


def test_behind_pgbouncer_every_client_of_a_server_finds_its_schema(kit: Kit) -> None:
    require("pgbouncer")
    (page,) = (name for name in names() if name.endswith("integration-and-production.md"))
    (roles,) = (block.text for block in blocks(page, "sql") if "CREATE ROLE" in block.text)
    (ini,) = (block.text for block in blocks(page, "ini") if "[pgbouncer]" in block.text)
    for statement in ("CREATE ROLE office LOGIN", "CREATE DATABASE office OWNER office", roles):
        kit.cluster.execute("primary", statement)
    servers = ("integration", "production")
    for server in servers:
        kit.cluster.execute("primary", THEMES.format(server=server), database="office")
    account, (port,) = server_account(), free_ports(1)
    userlist, file = kit.cluster.directory / "office.txt", kit.cluster.directory / "office.ini"
    account.write_private(userlist, "".join(f'"office_{server}" "secret"\n' for server in servers))
    # One connection to the server for each role, so that the second client gets what the first one left.
    rest = f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = scram-sha-256\nauth_file = {userlist}\n"
    node = f"host=127.0.0.1 port={kit.port('primary')}"
    text = ini.replace("host=db1 port=5432", node) + rest + "pool_mode = session\ndefault_pool_size = 1\n"
    account.write_private(file, text)

    def found(server: str) -> tuple[Any, ...]:
        # The engines send their search_path all the same; PgBouncer drops it.
        login = {"user": f"office_{server}", "password": "secret", "options": "-c search_path=nowhere"}
        with closing(psycopg2.connect(host="127.0.0.1", port=port, dbname="office", **login)) as connection:
            # As Django: PgBouncer gives up a session that its client left in a transaction.
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("SELECT name, pg_backend_pid() FROM theme")
            return cursor.fetchone() or ()

    with programs.running([str(programs.find("pgbouncer")), str(file)], port, kit.directory / "office.log", account):
        answers = [found(server) for server in servers * 3]
    assert [name for name, _ in answers] == [*servers * 3]
    assert len({backend for _, backend in answers}) == len(servers)


# MapServer

MAP = """
MAP
  EXTENT 0 0 9 9
  SIZE 9 9
  IMAGETYPE png24
  IMAGECOLOR 0 0 0
  LAYER
    NAME "place"
    TYPE POLYGON
    STATUS DEFAULT
    INCLUDE "layer.map"
    DATA "geom FROM (SELECT id, geom, inet_server_port() AS port FROM place) AS drawn USING UNIQUE id USING SRID=4326"
{classes}
  END
END
"""
CLASS = """
    CLASS
      EXPRESSION ([port] = {port})
      STYLE
        COLOR {red} 255 255
      END
    END
"""
REDS = {"primary": 10, "replica_1": 20, "replica_2": 30}


@pytest.fixture
def drawing(kit: Kit) -> str:
    """Write what MapServer needs; return the path of the service file."""
    require("map2img", "mapserv", "gdallocationinfo")
    if lacking := postgis.missing():
        refuse(f"{__name__} needs {lacking}: {postgis.REMEDY}")
    kit.write("layer.map", "mapserver")
    classes = "".join(CLASS.format(port=kit.port(node), red=red) for node, red in REDS.items())
    (kit.directory / "place.map").write_text(MAP.format(classes=classes))
    (kit.directory / "mapserver.conf").write_text(f'CONFIG MAPS PLACE "{kit.directory}/place.map" END END')
    return kit.write("pg_service.conf", "pg_service")


def drawn_from(picture: Path) -> str | None:
    """Return which node the polygon came from, by its colour."""
    command = ["gdallocationinfo", "-valonly", "-b", "1", str(picture), "4", "4"]
    red = int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout)
    return {value: node for node, value in REDS.items()}.get(red)


def test_mapserver_draws_from_a_replica_and_still_draws_when_it_is_dead(kit: Kit, drawing: str) -> None:
    picture = kit.directory / "map.png"

    def draw() -> str | None:
        command = ["map2img", "-m", str(kit.directory / "place.map"), "-o", str(picture)]
        done = subprocess.run(command, env=kit.env(drawing), capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, done.stderr
        return drawn_from(picture)

    first = draw()
    kit.cluster.kill(str(first))
    second = draw()
    kit.cluster.kill(str(second))
    assert {first, second} == {"replica_1", "replica_2"}
    assert draw() == "primary"


def test_a_process_of_mapserver_under_fastcgi_takes_another_node_after_one_error(kit: Kit, drawing: str) -> None:
    picture = kit.directory / "served.png"
    # As the how-to says: in the parameters of the request, since they replace the environment.
    params = {**kit.env(drawing), "QUERY_STRING": "map=PLACE&mode=map&layers=all"}
    config = {"PATH": programs.PATH, "MAPSERVER_CONFIG_FILE": str(kit.directory / "mapserver.conf")}
    with fastcgi.serving("mapserv", config) as address:

        def draw() -> str | None:
            head, body = fastcgi.ask(address, params)
            if "image/png" not in head:
                return None
            picture.write_bytes(body)
            return drawn_from(picture)

        first = draw()
        assert first == draw() != "primary"
        kit.cluster.kill(str(first))
        assert draw() is None
        assert {first, draw()} == {"replica_1", "replica_2"}
