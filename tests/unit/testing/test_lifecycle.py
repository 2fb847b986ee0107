"""Is a cluster that others build or end at the same time told from one's own?"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from django_gmf_router.testing import LocalCluster, LocalClusterError
from django_gmf_router.testing.home import ClusterState
from django_gmf_router.testing.lifecycle import Running


@pytest.mark.parametrize(
    ("detached", "complaint"), [(True, "is bringing up the cluster in"), (False, "belongs to the running process")]
)
def test_a_cluster_that_another_process_is_building_is_left_alone(
    state: ClusterState, detached: bool, complaint: str
) -> None:
    replace(state, detached=detached).save()
    with pytest.raises(LocalClusterError, match=complaint) as caught:
        LocalCluster(0, directory=state.directory).up()
    assert f"process {os.getpid()}" in str(caught.value)
    assert state.owns_home()


def test_a_cluster_that_was_taken_down_elsewhere_stays_known_as_stopped(state: ClusterState) -> None:
    assert Running(state).servers["primary"].state() == "stopped"
