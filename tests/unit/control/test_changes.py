"""What is refused before anything is changed, and what is told to follow?"""

from __future__ import annotations

import pytest

from django_gmf_router.control import changes
from django_gmf_router.exceptions import ControlRefused, ControlUnavailable
from django_gmf_router.models import Control
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig

REPLICAS = (ReplicaConfig(alias="replica_1"), ReplicaConfig(alias="replica_2"))
CONFIG = ClusterConfig(primary="default", replicas=REPLICAS)


@pytest.mark.parametrize(
    ("spill", "drained", "told"),
    [
        (None, {"replica_1"}, "Reads go to replica_2."),
        (None, {"replica_1", "replica_2", "gone"}, "No replica is left: the primary serves the reads."),
        (3, {"replica_1", "replica_2"}, "No replica is left: the primary serves 3 requests at once, the rest gets 503"),
    ],
)
def test_who_drains_is_told_who_serves(spill: int | None, drained: set[str], told: str) -> None:
    config = ClusterConfig(primary="default", replicas=REPLICAS, spill=spill)
    assert changes.who_serves(config, drained).startswith(told)


def test_replicas_of_another_pool_do_not_serve_everybody() -> None:
    config = ClusterConfig(primary="default", replicas=(REPLICAS[0], ReplicaConfig(alias="reports", pool="reports")))
    assert changes.who_serves(config, {"replica_1"}) == "No replica is left: the primary serves the reads."


def test_what_holds_for_a_site_is_what_the_change_says_of_it() -> None:
    change = Control(version=7, state='{"drained": ["replica_1"], "maintenance": {"prod": "new disks"}}')
    steering = changes.steering_of(CONFIG, change)
    assert (steering.version, steering.drained, steering.maintenance) == (7, {"replica_1"}, False)
    assert changes.steering_of(CONFIG, None).version == 0


@pytest.mark.parametrize("alias", ["default", "replica_9"])
def test_only_a_replica_is_drained(alias: str) -> None:
    with pytest.raises(ControlRefused, match=f"^{alias} is "):
        changes.drain(CONFIG, alias, by="ada")


def test_a_cluster_without_replicas_is_not_steered() -> None:
    dry = ClusterConfig(primary="default", dry_run=True)
    with pytest.raises(ControlRefused, match=r"^'default' has no replicas yet: nothing is steered there\.$"):
        changes.set_maintenance(dry, True, by="ada")


def test_only_postgresql_is_steered() -> None:
    with pytest.raises(ControlUnavailable, match="is no PostgreSQL"):
        changes.set_maintenance(CONFIG, True, by="ada")
