"""Does the local cluster stand, break as told, and leave nothing behind?"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from django_gmf_router.postgres.programs import VARIABLE, WHEEL
from django_gmf_router.testing import LocalCluster, LocalClusterError, processes
from django_gmf_router.testing.home import load
from django_gmf_router.testing.lifecycle import attach
from django_gmf_router.testing.machine import find_programs, free_ports
from django_gmf_router.testing.plugin import refuse
from tests.waiting import until

pytestmark = pytest.mark.cluster

OWNER = """
import sys
from django_gmf_router.testing import LocalCluster
cluster = LocalCluster(1, directory=sys.argv[1]).up()
if "freeze" in sys.argv:
    cluster.freeze("replica_1")
print("ready", flush=True)
sys.stdin.read()
"""
RIVAL = """
import sys
from django_gmf_router.testing import LocalCluster, LocalClusterError
print("ready", flush=True)
sys.stdin.readline()
try:
    LocalCluster(0, directory=sys.argv[1]).up(detached=True)
except LocalClusterError as error:
    print(error)
else:
    print("up")
"""


@pytest.fixture
def table(gmf_cluster: LocalCluster) -> Iterator[str]:
    gmf_cluster.execute("primary", "DROP TABLE IF EXISTS town; CREATE TABLE town (name text)")
    gmf_cluster.wait_for_replay()
    yield "town"
    gmf_cluster.heal()
    gmf_cluster.execute("primary", "DROP TABLE IF EXISTS town")


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for temporary files that shows what stays behind, open to the servers' user."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    directory = Path(tempfile.mkdtemp(prefix="gmf-test-"))
    directory.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.setenv("TMPDIR", str(directory))
    yield directory
    shutil.rmtree(directory)


@contextmanager
def closing_down(cluster: LocalCluster) -> Iterator[None]:
    try:
        yield
    finally:
        cluster.down()


def seconds_to_stand(replicas: int) -> float:
    start = clock()
    with LocalCluster(replicas):
        return clock() - start


def clock() -> float:
    """Return a time that stands still while somebody on this machine waits for a processor."""
    try:
        some = re.search(r"^some .*total=(\d+)", Path("/proc/pressure/cpu").read_text(), re.MULTILINE)
    except OSError:  # another system, or a kernel without it
        some = None
    return time.monotonic() - (int(some[1]) / 1e6 if some else 0)


def states(cluster: LocalCluster) -> dict[str, str]:
    return {node.name: node.state for node in cluster.status()}


def roles(cluster: LocalCluster) -> dict[str, str | None]:
    return {node.name: node.role for node in cluster.status()}


def insert(cluster: LocalCluster, name: str) -> None:
    cluster.execute("primary", f"INSERT INTO town VALUES ('{name}')")


def towns(cluster: LocalCluster, node: str) -> list[str | None]:
    return [row[0] for row in cluster.execute(node, "SELECT name FROM town ORDER BY name")]


def servers_of(directory: Path) -> list[psutil.Process]:
    found = [server.process() for server in attach(directory).servers.values()]
    return [process for process in found if process is not None]


def destroy(server: psutil.Process) -> None:
    """Kill a server harder than any crash: no chance to tidy up."""
    family = [*server.children(), server]
    processes.send(family, signal.SIGKILL)
    assert processes.wait_until_gone(family, 10)


# Standing


def test_a_primary_and_two_replicas_stand_in_under_5_seconds() -> None:
    # Best of three, as all budgets.
    assert any(seconds_to_stand(replicas=2) < 5 for _ in range(3))


def test_every_server_says_itself_what_it_is(gmf_cluster: LocalCluster) -> None:
    assert roles(gmf_cluster) == {"primary": "primary", "replica_1": "replica", "replica_2": "replica"}


def test_replicas_stream_through_slots_of_their_own(gmf_cluster: LocalCluster) -> None:
    slots = gmf_cluster.execute("primary", "SELECT slot_name FROM pg_replication_slots WHERE active ORDER BY 1")
    assert slots == [("replica_1",), ("replica_2",)]


def test_the_primary_answers_to_its_alias_in_django(gmf_cluster: LocalCluster) -> None:
    assert gmf_cluster.port("default") == gmf_cluster.port("primary")


def test_what_the_primary_commits_is_on_the_replicas(gmf_cluster: LocalCluster, table: str) -> None:
    insert(gmf_cluster, "Bern")
    gmf_cluster.wait_for_replay()
    assert towns(gmf_cluster, "replica_1") == towns(gmf_cluster, "replica_2") == ["Bern"]


def test_waiting_for_replay_covers_commits_that_were_not_flushed(gmf_cluster: LocalCluster, table: str) -> None:
    gmf_cluster.execute("primary", "SET synchronous_commit = off; INSERT INTO town VALUES ('Chur')")
    gmf_cluster.wait_for_replay()
    assert towns(gmf_cluster, "replica_2") == ["Chur"]


def test_rows_tell_null_from_an_empty_text(gmf_cluster: LocalCluster) -> None:
    rows = gmf_cluster.execute("primary", "SELECT NULL, '', 'a\nb,\"c'; SELECT ''")
    assert rows == [(None, "", 'a\nb,"c'), ("",)]


def test_wrong_sql_is_one_line_that_names_the_node(gmf_cluster: LocalCluster) -> None:
    with pytest.raises(LocalClusterError, match=r"^replica_1: ERROR: +25006: .*read-only") as caught:
        gmf_cluster.execute("replica_1", "CREATE TABLE nowhere ()")
    assert "\n" not in str(caught.value)


def test_an_unknown_node_is_told_which_there_are(gmf_cluster: LocalCluster) -> None:
    with pytest.raises(LocalClusterError, match=r"no node 'replica_9'.*primary, replica_1, replica_2"):
        gmf_cluster.kill("replica_9")


def test_the_sites_role_is_no_superuser_but_may_create_databases(gmf_cluster: LocalCluster) -> None:
    sql = "SELECT rolsuper, rolreplication, rolcreatedb FROM pg_roles WHERE rolname = 'gmf'"
    assert gmf_cluster.execute("primary", sql) == [("f", "f", "t")]


def test_a_wrong_password_is_refused(gmf_cluster: LocalCluster) -> None:
    psycopg2 = pytest.importorskip("psycopg2")
    entry = gmf_cluster.databases()["default"]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(host=entry["HOST"], port=entry["PORT"], user="gmf", dbname="gmf", password="wrong")


@pytest.mark.parametrize("name", ["dsn", "url"])
def test_a_driver_connects_with_the_dsn_and_the_url(gmf_cluster: LocalCluster, name: str) -> None:
    psycopg2 = pytest.importorskip("psycopg2")
    connection = psycopg2.connect(getattr(gmf_cluster, name)("replica_2"))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user, current_database(), inet_server_port()")
            assert cursor.fetchone() == ("gmf", "gmf", gmf_cluster.port("replica_2"))
    finally:
        connection.close()


def test_databases_are_settings_with_read_only_replicas(gmf_cluster: LocalCluster) -> None:
    databases = gmf_cluster.databases()
    assert list(databases) == ["default", "replica_1", "replica_2"]
    assert databases["default"]["PORT"] == str(gmf_cluster.port("primary"))
    assert "OPTIONS" not in databases["default"]
    assert databases["replica_1"]["OPTIONS"] == {"options": "-c default_transaction_read_only=on"}
    assert "TEST" not in databases["replica_1"]


def test_databases_can_be_mirrors_for_django_tests(gmf_cluster: LocalCluster) -> None:
    databases = gmf_cluster.databases("django.db.backends.postgresql", mirror=True)
    assert "TEST" not in databases["default"]
    assert databases["replica_2"]["TEST"] == {"MIRROR": "default"}
    assert databases["replica_2"]["ENGINE"] == "django.db.backends.postgresql"


# Breaking


def test_a_killed_node_refuses_connections_until_it_is_restarted(gmf_cluster: LocalCluster) -> None:
    gmf_cluster.kill("replica_1")
    assert states(gmf_cluster) == {"primary": "running", "replica_1": "stopped", "replica_2": "running"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gmf_cluster.port("replica_1")))
    gmf_cluster.restart("replica_1")
    assert roles(gmf_cluster)["replica_1"] == "replica"


def test_a_killed_primary_keeps_what_was_committed(gmf_cluster: LocalCluster, table: str) -> None:
    insert(gmf_cluster, "Glarus")
    gmf_cluster.kill("primary")
    gmf_cluster.restart("primary")
    assert towns(gmf_cluster, "primary") == ["Glarus"]


def test_a_node_is_not_killed_twice(gmf_cluster: LocalCluster) -> None:
    gmf_cluster.kill("replica_1")
    with pytest.raises(LocalClusterError, match="replica_1 is stopped: restart it first"):
        gmf_cluster.kill("replica_1")


def test_a_frozen_node_accepts_tcp_but_answers_no_query(gmf_cluster: LocalCluster) -> None:
    gmf_cluster.freeze("replica_1")
    assert states(gmf_cluster)["replica_1"] == "frozen"
    with socket.create_connection(("127.0.0.1", gmf_cluster.port("replica_1")), timeout=1):
        pass
    with pytest.raises(LocalClusterError, match=r"replica_1 did not answer within 0\.3 s"):
        gmf_cluster.execute("replica_1", "SELECT 1", timeout_seconds=0.3)
    gmf_cluster.thaw("replica_1")
    assert gmf_cluster.execute("replica_1", "SELECT 1") == [("1",)]


def test_every_process_of_a_frozen_node_stands(gmf_cluster: LocalCluster) -> None:
    pid = {node.name: node.pid for node in gmf_cluster.status()}["primary"]
    assert pid is not None
    gmf_cluster.freeze("primary")
    postmaster = psutil.Process(pid)
    family = [postmaster, *postmaster.children()]
    assert len(family) > 3
    # What ended just before is a zombie: the postmaster, which would reap it, stands.
    assert {process.status() for process in family} - {psutil.STATUS_ZOMBIE} == {psutil.STATUS_STOPPED}


def test_a_frozen_node_can_be_killed(gmf_cluster: LocalCluster) -> None:
    gmf_cluster.freeze("replica_2")
    gmf_cluster.kill("replica_2")
    assert states(gmf_cluster)["replica_2"] == "stopped"


def test_a_frozen_node_can_be_restarted(gmf_cluster: LocalCluster) -> None:
    gmf_cluster.freeze("replica_2")
    gmf_cluster.restart("replica_2")
    assert states(gmf_cluster)["replica_2"] == "running"


def test_a_paused_replica_shows_the_past_until_it_is_resumed(gmf_cluster: LocalCluster, table: str) -> None:
    gmf_cluster.pause("replica_1")
    insert(gmf_cluster, "Sion")
    gmf_cluster.wait_for_replay("replica_2")
    assert (towns(gmf_cluster, "replica_1"), towns(gmf_cluster, "replica_2")) == ([], ["Sion"])
    with pytest.raises(LocalClusterError, match="replica_1 did not replay"):
        gmf_cluster.wait_for_replay("replica_1", timeout_seconds=0.1)
    gmf_cluster.resume("replica_1")
    gmf_cluster.wait_for_replay("replica_1")
    assert towns(gmf_cluster, "replica_1") == ["Sion"]


@pytest.mark.parametrize("verb", ["pause", "resume", "wait_for_replay"])
def test_the_primary_replays_nothing(gmf_cluster: LocalCluster, verb: str) -> None:
    with pytest.raises(LocalClusterError, match="primary replays nothing: name a replica"):
        getattr(gmf_cluster, verb)("primary")


def test_a_promoted_replica_takes_writes_of_its_own(gmf_cluster: LocalCluster, table: str) -> None:
    gmf_cluster.promote("replica_1")
    assert roles(gmf_cluster) == {"primary": "primary", "replica_1": "primary", "replica_2": "replica"}
    gmf_cluster.execute("replica_1", "INSERT INTO town VALUES ('Zug')")
    assert towns(gmf_cluster, "primary") == []


def test_a_primary_is_not_promoted(gmf_cluster: LocalCluster) -> None:
    with pytest.raises(LocalClusterError, match="primary is a primary already"):
        gmf_cluster.promote("primary")


def test_a_node_is_restarted_as_a_new_process(gmf_cluster: LocalCluster) -> None:
    before = {node.name: node.pid for node in gmf_cluster.status()}
    gmf_cluster.restart("primary")
    after = {node.name: node.pid for node in gmf_cluster.status()}
    assert before["primary"] != after["primary"]
    assert before["replica_1"] == after["replica_1"]


def test_a_server_that_was_destroyed_is_restarted(gmf_cluster: LocalCluster, table: str) -> None:
    insert(gmf_cluster, "Stans")
    destroy(servers_of(gmf_cluster.directory)[0])
    assert states(gmf_cluster)["primary"] == "stopped"
    gmf_cluster.restart("primary")
    assert towns(gmf_cluster, "primary") == ["Stans"]


def test_a_primary_that_waits_for_a_frozen_replica_is_stopped_all_the_same(
    gmf_cluster: LocalCluster, table: str
) -> None:
    gmf_cluster.freeze("replica_1")
    insert(gmf_cluster, "Sarnen")
    primary = gmf_cluster._server("primary")
    primary.stop(timeout_seconds=0.1)
    assert primary.state() == "stopped"
    primary.stop()
    primary.start(timeout_seconds=30)
    assert towns(gmf_cluster, "primary") == ["Sarnen"]


def test_a_server_that_does_not_get_ready_is_told_with_its_log(gmf_cluster: LocalCluster) -> None:
    server = gmf_cluster._server("replica_1")
    gmf_cluster.kill("replica_1")
    with pytest.raises(LocalClusterError, match=f"replica_1 took no queries within 0 s: see {server.log}"):
        server.start(timeout_seconds=0)
    until(lambda: server.state() == "running", what="it is ready later")


def test_a_promotion_that_takes_too_long_is_told_with_the_log(gmf_cluster: LocalCluster) -> None:
    server = gmf_cluster._server("replica_1")
    (pid,) = gmf_cluster.execute("replica_1", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'")[0]
    startup = psutil.Process(int(pid or 0))
    startup.suspend()
    try:
        with pytest.raises(LocalClusterError, match=f"replica_1 was not promoted within 0.1 s: see {server.log}"):
            server.promote(timeout_seconds=0.1)
    finally:
        startup.resume()
    until(lambda: roles(gmf_cluster)["replica_1"] == "primary", what="it is promoted later")


# Mending


def test_a_whole_cluster_needs_no_healing(gmf_cluster: LocalCluster) -> None:
    assert gmf_cluster.heal() == []


def test_everything_that_was_broken_is_healed(gmf_cluster: LocalCluster, table: str) -> None:
    gmf_cluster.pause("replica_2")
    gmf_cluster.promote("replica_1")
    gmf_cluster.execute("replica_1", "INSERT INTO town VALUES ('Zug')")
    gmf_cluster.kill("replica_1")
    gmf_cluster.freeze("primary")
    assert gmf_cluster.heal() == ["primary", "replica_1", "replica_2"]
    assert roles(gmf_cluster) == {"primary": "primary", "replica_1": "replica", "replica_2": "replica"}
    insert(gmf_cluster, "Altdorf")
    gmf_cluster.wait_for_replay()
    assert towns(gmf_cluster, "replica_1") == towns(gmf_cluster, "replica_2") == ["Altdorf"]


def test_a_server_that_dies_while_starting_says_why(gmf_cluster: LocalCluster) -> None:
    state = load(gmf_cluster.directory)
    assert state is not None
    setting = state.home / "nodes" / "replica_1" / "postgresql.auto.conf"
    good = setting.read_text()
    gmf_cluster.kill("replica_1")
    setting.write_text(good + "no_such_setting = on\n")
    try:
        with pytest.raises(LocalClusterError, match=r"replica_1 died while starting: .*no_such_setting"):
            gmf_cluster.restart("replica_1")
    finally:
        setting.write_text(good)


# Leaving nothing


def test_nothing_is_left_of_a_cluster(temporary: Path) -> None:
    with LocalCluster(1) as cluster:
        servers = servers_of(cluster.directory)
        assert len(servers) == 2
    assert not any(map(processes.is_alive, servers))
    assert list(temporary.iterdir()) == []


def test_nothing_is_left_when_the_block_fails(temporary: Path) -> None:
    with pytest.raises(ZeroDivisionError), LocalCluster(0):
        _ = 1 / 0
    assert list(temporary.iterdir()) == []


def test_up_and_down_may_be_called_again(temporary: Path) -> None:
    cluster = LocalCluster(0).up(detached=True)
    before = cluster.status()
    assert cluster.up().status() == before
    cluster.down()
    cluster.down()
    assert list(temporary.iterdir()) == []


def test_a_cluster_that_is_down_says_so(temporary: Path) -> None:
    cluster = LocalCluster(0)
    assert cluster.status() == []
    cluster.down()
    with pytest.raises(LocalClusterError, match="the cluster is down"):
        cluster.execute("primary", "SELECT 1")


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_nothing_is_left_when_the_owner_is_killed(temporary: Path, how: str) -> None:
    directory = temporary / "cluster"
    command = [sys.executable, "-c", OWNER, str(directory), how]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        servers = servers_of(directory)
        assert len(servers) == 2
        owner.kill()
    until(lambda: not any(temporary.iterdir()), what=f"{temporary} is empty")
    assert not any(map(processes.is_alive, servers))


def test_nothing_is_left_when_the_owner_is_killed_while_it_builds(temporary: Path) -> None:
    directory = temporary / "cluster"
    command = [sys.executable, "-c", OWNER, str(directory)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as owner:
        until(lambda: list(temporary.glob("**/base/1")), what="initdb is at work")
        owner.kill()
    until(lambda: not any(temporary.iterdir()), what=f"{temporary} is empty")


def test_what_an_owner_left_that_was_killed_with_its_watchdog_goes_as_the_next_cluster_comes(temporary: Path) -> None:
    directory = temporary / "gmf-cluster-left"
    command = [sys.executable, "-c", OWNER, str(directory)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        family = [*psutil.Process(owner.pid).children(), psutil.Process(owner.pid)]
        servers = servers_of(directory)
        processes.send(family, signal.SIGKILL)
    assert all(map(processes.is_alive, servers))
    with LocalCluster(0) as cluster:
        assert [path.name for path in temporary.iterdir()] == [cluster.directory.name]
    assert not any(map(processes.is_alive, servers))


def test_a_temporary_cluster_stands_while_its_owner_does(temporary: Path) -> None:
    with LocalCluster(0) as first, LocalCluster(0) as second:
        assert first.execute("primary", "SELECT 1") == second.execute("primary", "SELECT 1") == [("1",)]
    assert list(temporary.iterdir()) == []


def test_a_forked_child_does_not_end_the_cluster_of_its_parent() -> None:
    code = """
import os
from django_gmf_router.testing import LocalCluster
with LocalCluster(0) as cluster:
    pid = os.fork()
    if pid == 0:
        cluster.down()
        os._exit(0)
    os.waitpid(pid, 0)
    print(cluster.execute("primary", "SELECT 'alive'"))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, env=environment, text=True)
    assert done.stdout == "[('alive',)]\n"


# Directories


def test_a_stale_directory_is_cleaned_and_used_again(tmp_path: Path) -> None:
    directory = tmp_path / "cluster"
    LocalCluster(0, directory=directory).up(detached=True)
    old = load(directory)
    assert old is not None
    for server in servers_of(directory):
        destroy(server)
    with LocalCluster(0, directory=directory) as cluster:
        assert cluster.execute("primary", "SELECT 1") == [("1",)]
        assert not old.home.exists()
    assert not directory.exists()


def test_a_standing_cluster_is_found_and_left_standing(tmp_path: Path) -> None:
    directory = tmp_path / "cluster"
    LocalCluster(1, directory=directory).up(detached=True)
    try:
        LocalCluster.attach(directory).kill("replica_1")
        lines: list[str] = []
        with LocalCluster(1, directory=directory) as second:
            assert states(second) == {"primary": "running", "replica_1": "running"}
        second = LocalCluster(1, directory=directory).up(progress=lines.append)
        assert lines == [f"a cluster stands in {directory} already"]
        assert states(second) == {"primary": "running", "replica_1": "running"}
    finally:
        LocalCluster(directory=directory).down()
    assert not directory.exists()


def test_a_directory_in_use_by_another_cluster_is_refused(tmp_path: Path) -> None:
    with (
        LocalCluster(0, directory=tmp_path) as cluster,
        pytest.raises(LocalClusterError, match=f"belongs to the running process {os.getpid()}"),
    ):
        LocalCluster(0, directory=cluster.directory).up()
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_come_up_at_once_in_a_directory_one_is_refused(temporary: Path) -> None:
    directory = temporary / "cluster"
    command = [sys.executable, "-c", RIVAL, str(directory)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with ExitStack() as stack:
        rivals = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
            )
            for _ in range(2)
        ]
        assert [rival.stdout.readline() for rival in rivals if rival.stdout] == ["ready\n"] * 2
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.write("go\n")
            rival.stdin.flush()
        said = sorted(rival.communicate()[0] for rival in rivals)
    try:
        assert said[1] == "up\n"
        assert re.search(f"bringing up the cluster in {directory}: wait for it", said[0])
        assert len(list(directory.glob("*/nodes"))) == 1
    finally:
        LocalCluster(directory=directory).down()
    # The directory itself stays, empty, if it is the refused one that made it.
    assert list(directory.glob("*")) == []


def test_a_restart_by_another_process_is_noticed(tmp_path: Path) -> None:
    with LocalCluster(0, directory=tmp_path) as cluster:
        LocalCluster.attach(tmp_path).restart("primary")
        assert cluster.execute("primary", "SELECT 1") == [("1",)]


def test_git_takes_no_notice_of_an_empty_directory(tmp_path: Path) -> None:
    with LocalCluster(0, directory=tmp_path):
        assert (tmp_path / ".gitignore").read_text() == "*\n"
    assert list(tmp_path.iterdir()) == []


def test_git_goes_on_to_take_notice_of_the_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with LocalCluster(0, directory=tmp_path):
        assert not (tmp_path / ".gitignore").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("inside", [False, True])
def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, inside: bool) -> None:
    file = tmp_path / "file"
    file.touch()
    directory = file / "cluster" if inside else file
    with pytest.raises(LocalClusterError, match=f"cannot make {directory}: "):
        LocalCluster(0, directory=directory).up()


def test_an_empty_directory_holds_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(LocalClusterError, match=f"no cluster in {tmp_path}: name its directory"):
        LocalCluster.attach(tmp_path)


# Refusals


def test_a_foreign_server_on_the_port_is_named_and_nothing_is_left(temporary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(LocalClusterError, match=f"port {port} is taken by another server"):
            LocalCluster(0, base_port=port).up()
    assert list(temporary.iterdir()) == []


def test_a_port_that_is_snatched_away_meanwhile_is_replaced(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody notices in time that it is taken: PostgreSQL itself finds out.
    monkeypatch.setattr("django_gmf_router.testing.server.require_free", lambda port: port)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, (other,) = server.getsockname()[1], free_ports(1)
        offers = iter([[port], [other]])
        monkeypatch.setattr(
            "django_gmf_router.testing.lifecycle.free_ports", lambda count, base_port=None: next(offers)
        )
        with LocalCluster(0) as cluster:
            assert cluster.port("primary") == other
            assert cluster.execute("primary", "SELECT inet_server_port()") == [(str(other),)]


def test_a_fixed_port_that_is_snatched_away_is_not_replaced(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_gmf_router.testing.server.require_free", lambda port: port)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr("django_gmf_router.testing.lifecycle.free_ports", lambda count, base_port=None: [port])
        with pytest.raises(LocalClusterError, match=f"port {port} of primary was taken"):
            LocalCluster(0, base_port=port).up()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("replicas", [-1, 9])
def test_an_impossible_number_of_replicas_is_refused(replicas: int) -> None:
    with pytest.raises(LocalClusterError, match=f"{replicas} replicas: choose between 0 and 8"):
        LocalCluster(replicas).up()


@pytest.mark.parametrize("name", ["postgres", "pg_mine", "two words", "template1"])
def test_names_that_cannot_be_used_are_refused(name: str) -> None:
    with pytest.raises(LocalClusterError, match=name):
        LocalCluster(0, database=name)


# Places


def test_programs_in_a_private_directory_are_usable_by_the_servers_user(tmp_path: Path) -> None:
    """As with a virtual environment below /root; a normal user's servers run from where they are."""
    bin_dir = find_programs().directory
    package = bin_dir.parent.parent
    if package.name != WHEEL:
        # A system's programs look for their files where they were installed. They may have been asked for.
        without = pytest.skip if VARIABLE in os.environ else refuse
        without("the programs are not the wheel's: others may not be moved")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for source in (bin_dir.parent, package.with_name(f"{WHEEL}.libs")):
        if source.exists():
            shutil.copytree(source, private / source.relative_to(package.parent))
    with LocalCluster(1, bin_dir=private / bin_dir.relative_to(package.parent)) as cluster:
        assert roles(cluster) == {"primary": "primary", "replica_1": "replica"}


# Secrets


def test_no_password_is_on_a_command_line_or_in_a_log(tmp_path: Path) -> None:
    lines: list[str] = []
    commands: set[str] = set()
    original = subprocess.Popen.__init__

    def recording(self: subprocess.Popen[bytes], args: list[str], **options: object) -> None:
        commands.add(" ".join(map(str, args)))
        original(self, args, **options)  # type: ignore[call-overload]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", recording)
        cluster = LocalCluster(1, directory=tmp_path).up(progress=lines.append)
    with closing_down(cluster):
        state = load(tmp_path)
        assert state is not None
        passwords = cluster._up().home.passwords()
        assert sorted(passwords) == ["gmf", "gmf_replication", "postgres"]
        logs = [log.read_text() for log in state.home.glob("nodes/*.log")]
        assert len(logs) == 2
        titles = [Path(f"/proc/{each.pid}/cmdline").read_text() for each in servers_of(tmp_path)]
        shown = "".join([*lines, *commands, *logs, *titles, repr(cluster), (tmp_path / "cluster.json").read_text()])
    assert not [name for name, password in passwords.items() if password in shown]


@pytest.mark.parametrize("where", ["django_gmf_router.testing.lifecycle.Tether", "pathlib.Path.chmod"])
def test_ctrl_c_leaves_nothing_whenever_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        LocalCluster(0).up()
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
