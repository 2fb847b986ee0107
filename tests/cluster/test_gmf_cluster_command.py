"""Does `gmf_cluster` do and say what its documentation tells?"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.home import PASSWORD_FILE, load

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The directory of a cluster that the command brought up, and what it printed."""
    directory = tmp_path_factory.mktemp("site") / "the site's $HOME"
    output = run("up", directory=directory, replicas=1)
    yield directory, output
    run("down", directory=directory)
    assert not directory.exists()


@pytest.fixture
def directory(standing: tuple[Path, str]) -> Iterator[Path]:
    yield standing[0]
    LocalCluster.attach(standing[0]).heal()


def run(*args: str, **options: object) -> str:
    output = StringIO()
    call_command("gmf_cluster", *args, stdout=output, **options)
    return output.getvalue()


def nodes(directory: Path) -> dict[str, dict[str, object]]:
    listed = json.loads(run("status", directory=directory, json=True))
    return {node.pop("name"): node for node in listed}


def test_up_tells_each_step_and_each_node(standing: tuple[Path, str]) -> None:
    lines = standing[1].splitlines()
    assert lines[0] == "primary: creating its data"
    assert any(line.startswith("primary     primary  port ") for line in lines)
    assert any(line.startswith("replica_1   replica  port ") for line in lines)


def test_up_writes_the_environment_to_a_private_file_and_prints_no_password(standing: tuple[Path, str]) -> None:
    directory, output = standing
    environment = directory / "env"
    assert environment.stat().st_mode & 0o777 == 0o600
    state = load(directory)
    assert state is not None
    for line in (state.home / PASSWORD_FILE).read_text().splitlines():
        assert line.rpartition(":")[2] not in output


def test_the_line_that_up_prints_sets_the_environment(standing: tuple[Path, str]) -> None:
    (line,) = [line for line in standing[1].splitlines() if "set -a" in line]
    command = f"{line}; env"
    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=True, text=True)
    cluster = LocalCluster.attach(standing[0])
    assert f"DATABASE_URL={cluster.url('primary')}" in done.stdout.splitlines()
    assert f"DATABASE_REPLICA_URLS={cluster.url('replica_1')}" in done.stdout.splitlines()


def test_git_takes_no_notice_of_the_directory(standing: tuple[Path, str]) -> None:
    assert (standing[0] / ".gitignore").read_text() == "*\n"


def test_up_again_says_that_it_stands(directory: Path) -> None:
    before = nodes(directory)
    assert run("up", directory=directory).splitlines()[0] == f"a cluster stands in {directory} already"
    assert nodes(directory) == before


def test_status_is_json_on_demand(directory: Path) -> None:
    found = nodes(directory)
    assert {name: (node["role"], node["state"]) for name, node in found.items()} == {
        "primary": ("primary", "running"),
        "replica_1": ("replica", "running"),
    }
    assert set(found["primary"]) == {"role", "state", "port", "pid"}


@pytest.mark.parametrize(("verb", "back", "state"), [("kill", "restart", "stopped"), ("freeze", "thaw", "frozen")])
def test_a_node_is_broken_and_mended(directory: Path, verb: str, back: str, state: str) -> None:
    assert run(verb, "replica_1", directory=directory) == f"replica_1: {verb} done\n"
    assert nodes(directory)["replica_1"]["state"] == state
    assert f"replica_1   ?        port {nodes(directory)['replica_1']['port']}" in run("status", directory=directory)
    run(back, "replica_1", directory=directory)
    assert nodes(directory)["replica_1"]["state"] == "running"


def test_replay_is_paused_and_resumed(directory: Path) -> None:
    cluster = LocalCluster.attach(directory)
    run("pause", "replica_1", directory=directory)
    assert cluster.execute("replica_1", "SELECT pg_is_wal_replay_paused()") == [("t",)]
    run("resume", "replica_1", directory=directory)
    assert cluster.execute("replica_1", "SELECT pg_is_wal_replay_paused()") == [("f",)]


def test_a_replica_is_promoted(directory: Path) -> None:
    run("promote", "replica_1", directory=directory)
    assert nodes(directory)["replica_1"]["role"] == "primary"


@pytest.mark.parametrize("verb", ["kill", "restart", "freeze", "thaw", "pause", "resume", "promote"])
def test_a_verb_without_a_node_names_the_nodes(directory: Path, verb: str) -> None:
    with pytest.raises(CommandError, match=f"^{verb} which node\\? There are primary, replica_1$"):
        run(verb, directory=directory)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {port} is taken by another server"):
            run("up", directory=tmp_path, port=port)
    assert list(tmp_path.iterdir()) == []


def test_the_directory_comes_from_the_environment(standing: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GMF_CLUSTER_DIR", str(standing[0]))
    assert "replica_1" in run("status")


def test_it_outlives_its_command_and_needs_no_databases(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text("SECRET_KEY = 'x'\nINSTALLED_APPS = ['django_gmf_router']\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "bare"}

    def manage(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "django", "gmf_cluster", *args]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)

    up = manage("up", "--replicas", "0")
    try:
        assert (up.returncode, up.stderr) == (0, "")
        assert "primary     primary" in manage("status").stdout
        failed = manage("freeze")
        assert (failed.returncode, failed.stdout) == (1, "")
        assert failed.stderr == "CommandError: freeze which node? There are primary\n"
    finally:
        down = manage("down")
    assert (down.returncode, down.stdout) == (0, f"the cluster in {tmp_path}/.gmf_cluster is down\n")
    assert manage("down").returncode == 1
    assert not (tmp_path / ".gmf_cluster").exists()
