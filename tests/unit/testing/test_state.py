"""Is a cluster found again by what it left on disk, and nothing else ever removed?"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from django_gmf_router.testing.cleanup import end_cluster
from django_gmf_router.testing.errors import LocalClusterError
from django_gmf_router.testing.processes import Process
from django_gmf_router.testing.state import FILE, TOKEN_FILE, ClusterState, NodeState, load


@pytest.fixture
def state(tmp_path: Path) -> ClusterState:
    home = tmp_path / "home"
    home.mkdir()
    (home / TOKEN_FILE).write_text("a token")
    return ClusterState(
        directory=tmp_path,
        home=home,
        bin_dir=tmp_path,
        token="a token",
        database="gmf",
        user="gmf",
        made_directory=True,
        owner=Process.find(os.getpid()),
        nodes={"primary": NodeState(port=5432), "replica_1": NodeState(port=5433)},
    )


def test_a_state_is_read_as_it_was_saved(state: ClusterState) -> None:
    state = state.with_process("replica_1", Process(pid=7, started="then"))
    state.save()
    assert load(state.directory) == state


def test_a_saved_state_is_private(state: ClusterState) -> None:
    state.save()
    assert (state.directory / FILE).stat().st_mode & 0o777 == 0o600


def test_an_empty_directory_has_no_state(tmp_path: Path) -> None:
    assert load(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 1}', '{"version": 1, "nodes": []}'])
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(LocalClusterError, match=r"cluster\.json is not a cluster's state .*: remove it"):
        load(tmp_path)


def test_a_state_of_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"version": 99}')
    with pytest.raises(LocalClusterError, match="is of another version"):
        load(tmp_path)


def test_only_living_servers_count(state: ClusterState) -> None:
    myself = Process.find(os.getpid())
    state = state.with_process("primary", myself).with_process("replica_1", Process(pid=1, started="never"))
    assert state.processes() == [myself]


def test_ending_a_stale_cluster_removes_all_its_files(state: ClusterState) -> None:
    state.save()
    end_cluster(state)
    assert not state.directory.exists()


def test_ending_it_twice_is_harmless(state: ClusterState) -> None:
    state.save()
    end_cluster(state)
    end_cluster(state)


def test_a_directory_without_the_token_is_left_alone(state: ClusterState) -> None:
    state.save()
    (state.home / TOKEN_FILE).write_text("somebody else's")
    end_cluster(state)
    assert state.home.exists()


def test_files_of_others_stay_in_the_directory(state: ClusterState) -> None:
    state.save()
    (state.directory / "notes.txt").write_text("mine")
    end_cluster(state)
    assert [path.name for path in state.directory.iterdir()] == ["notes.txt"]


def test_a_directory_that_the_user_made_stays(state: ClusterState) -> None:
    state = replace(state, made_directory=False)
    state.save()
    end_cluster(state)
    assert list(state.directory.iterdir()) == []
