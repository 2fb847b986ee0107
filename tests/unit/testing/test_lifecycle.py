"""Is a cluster that others build, end or replace at the same time told from one's own?"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from django_gmf_router.testing import LocalCluster, LocalClusterError
from django_gmf_router.testing.lifecycle import Running
from django_gmf_router.testing.processes import Process
from django_gmf_router.testing.state import ClusterState


@pytest.fixture
def myself() -> Process:
    process = Process.find(os.getpid())
    assert process is not None
    return process


def test_a_cluster_that_another_process_is_building_is_left_alone(state: ClusterState, myself: Process) -> None:
    replace(state, owner=None, builder=myself).save()
    with pytest.raises(LocalClusterError, match=f"process {os.getpid()} is bringing up the cluster in"):
        LocalCluster(0, directory=state.directory).up()
    assert state.owns_home()


@pytest.mark.parametrize("token", ["a token", "another"])
def test_a_server_started_anew_is_noticed_if_it_is_the_same_clusters(
    state: ClusterState, myself: Process, token: str
) -> None:
    running = Running(state, timeout_seconds=1)
    replace(state.with_process("primary", myself), token=token).save()
    running.refresh()
    assert running.nodes["primary"].process == (myself if token == state.token else None)


def test_a_cluster_that_was_taken_down_elsewhere_stays_known_as_stopped(state: ClusterState) -> None:
    running = Running(state, timeout_seconds=1)
    running.refresh()
    assert running.nodes["primary"].state() == "stopped"
