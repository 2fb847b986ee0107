"""Are the readings of two nodes compared only where the order of time allows it?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from django_gmf_router.postgres.dialects import FLUSHED, POSTGRESQL
from django_gmf_router.replicas.health import Moment, NodeHealth, State
from django_gmf_router.replicas.observer import Answer, Observer
from django_gmf_router.replicas.readings import Reading

PRIMARY = Reading(up=True, role="primary", position=100, timeline=1, started=1.0)
REPLICA = Reading(up=True, role="replica", position=100, started=1.0)
AHEAD = replace(REPLICA, position=150)


class Cluster:
    """A primary and a replica, and an observer of them."""

    def __init__(self) -> None:
        known = {
            alias: NodeHealth(alias=alias, role=role, since=0.0)
            for alias, role in (("default", "primary"), ("replica_1", "replica"))
        }
        self.observer = Observer(known, max_lag_seconds=10.0, settle_seconds=0.5)

    def primary(self, begin: float, end: float, reading: Reading = PRIMARY) -> NodeHealth:
        return self.observer.observe(Answer(alias="default", reading=reading, started_at=begin, finished_at=end), 0.0)

    def replica(self, begin: float, end: float, reading: Reading = REPLICA) -> NodeHealth:
        return self.observer.observe(Answer(alias="replica_1", reading=reading, started_at=begin, finished_at=end), 0.0)


@pytest.fixture
def cluster() -> Cluster:
    """A primary and a replica that were never probed."""
    return Cluster()


def test_a_replica_ahead_of_a_position_read_before_or_at_the_same_time_has_not_diverged(cluster: Cluster) -> None:
    cluster.primary(1.0, 1.1)
    assert cluster.replica(2.0, 2.3, AHEAD).state == State.UP
    cluster.primary(2.2, 2.4)
    assert cluster.replica(3.0, 3.1, AHEAD).state == State.UP


def test_a_replica_ahead_of_a_position_read_later_has_diverged(cluster: Cluster) -> None:
    cluster.replica(2.0, 2.1, AHEAD)
    cluster.primary(2.2, 2.3)
    assert cluster.replica(3.0, 3.1, AHEAD).state == State.DOWN


def test_a_replica_that_has_restarted_meanwhile_has_not_diverged(cluster: Cluster) -> None:
    cluster.replica(2.0, 2.1, AHEAD)
    cluster.primary(2.2, 2.3)
    assert cluster.replica(3.0, 3.1, replace(REPLICA, started=2.0)).state == State.UP


def test_a_promoted_replica_is_promoted_and_not_diverged(cluster: Cluster) -> None:
    cluster.replica(2.0, 2.1, replace(AHEAD, role="primary"))
    cluster.primary(2.2, 2.3)
    health = cluster.replica(3.0, 3.1, replace(AHEAD, role="primary"))
    assert health.error == "The server says that it is a primary."
    cluster.replica(4.0, 4.1, replace(REPLICA, started=3.0))
    assert cluster.replica(5.0, 5.1, replace(REPLICA, started=3.0)).state == State.UP


def test_the_lag_counts_from_when_the_primary_had_answered_to_when_the_replica_was_asked(cluster: Cluster) -> None:
    cluster.primary(1.0, 1.5, replace(PRIMARY, position=200))
    assert cluster.replica(2.0, 2.9).lag == 0.5


def test_a_position_of_the_primary_tells_of_the_replicas_that_they_follow(cluster: Cluster) -> None:
    assert cluster.replica(1.0, 1.1).follows is None
    cluster.primary(1.0, 1.2)
    assert cluster.observer.health("replica_1").follows == 1
    cluster.primary(2.0, 2.1, replace(PRIMARY, position=120, timeline=2))
    assert cluster.observer.health("replica_1").follows is None
    assert cluster.replica(3.0, 3.1, replace(REPLICA, position=120)).follows == 2


def test_the_lag_is_unknown_once_the_primary_is_down_not_at_its_first_failure(cluster: Cluster) -> None:
    cluster.primary(1.0, 1.0, replace(PRIMARY, position=200))
    failed = Reading(up=False, error="server closed the connection")
    cluster.primary(2.0, 2.0, failed)
    assert cluster.replica(2.0, 2.1).lag == 1.0
    cluster.primary(3.0, 3.0, failed)
    assert cluster.replica(3.0, 3.1).lag is None
    cluster.primary(4.0, 4.0, replace(PRIMARY, position=200))
    assert cluster.replica(4.0, 4.1).lag is None
    cluster.primary(5.0, 5.0, replace(PRIMARY, position=200))
    assert cluster.replica(5.0, 5.1).lag == 4.0


def test_a_primary_that_a_request_could_not_reach_makes_the_lag_unknown(cluster: Cluster) -> None:
    cluster.primary(1.0, 1.0)
    cluster.observer.fail("default", "refused", Moment(monotonic=1.5, wall=0.0))
    assert cluster.replica(2.0, 2.1).lag is None


def test_a_demoted_primary_is_no_measure(cluster: Cluster) -> None:
    cluster.primary(1.0, 1.0, replace(PRIMARY, role="replica", position=200))
    assert cluster.replica(2.0, 2.1).lag is None


@pytest.mark.parametrize("what", ["system_identifier", "database"])
def test_a_replica_of_something_else_is_down_at_once_whichever_answers_first(what: str) -> None:
    primary, stranger = replace(PRIMARY, **{what: "ours"}), replace(REPLICA, **{what: "theirs"})
    first, second = Cluster(), Cluster()
    first.primary(1.0, 1.1, primary)
    assert first.replica(1.2, 1.3, stranger).state == State.DOWN
    second.replica(1.0, 1.1, stranger)
    second.primary(1.2, 1.3, primary)
    found = second.observer.health("replica_1")
    assert (found.state, found.error) == (State.DOWN, first.observer.health("replica_1").error)
    assert "ours" in str(found.error)
    assert second.replica(2.0, 2.1, stranger).state == State.DOWN
    ours = replace(REPLICA, **{what: "ours"})
    assert [second.replica(at, at, ours).state for at in (3.0, 4.0)] == [State.DOWN, State.UP]


def test_what_a_server_does_not_tell_makes_no_stranger_of_it(cluster: Cluster) -> None:
    cluster.primary(1.0, 1.1, replace(PRIMARY, system_identifier="ours"))
    assert cluster.replica(1.2, 1.3).state == State.UP


def test_the_lag_that_a_server_measures_itself_counts(cluster: Cluster) -> None:
    cluster.primary(1.0, 1.1)
    assert cluster.replica(1.2, 1.3, replace(REPLICA, position=None, lag=0.02)).lag == 0.02
    assert cluster.replica(2.2, 2.3, replace(REPLICA, position=None, lag=11.0)).state == State.LAGGING


def test_a_replica_whose_lag_nobody_can_tell_stays_in_service(cluster: Cluster) -> None:
    cluster.primary(1.0, 1.1)
    health = cluster.replica(90.0, 90.1, replace(REPLICA, position=None, replay_age=80.0))
    assert (health.state, health.lag) == (State.UP, None)


def test_a_primary_that_does_not_tell_its_role_still_says_who_is_a_stranger(cluster: Cluster) -> None:
    cluster.primary(1.0, 1.1, replace(PRIMARY, role=None, position=None, timeline=None, system_identifier="7"))
    assert cluster.replica(1.2, 1.3, replace(REPLICA, role=None, position=None, system_identifier="8")).is_down


def test_where_the_primary_does_not_tell_what_is_flushed_the_lag_is_unknown(cluster: Cluster) -> None:
    # What a read made it write, the marks of a page, lies there unflushed until the next commit.
    cluster.primary(1.0, 1.5, replace(PRIMARY, position=200, dialect=POSTGRESQL.without(FLUSHED)))
    assert cluster.replica(2.0, 2.9).lag is None
    cluster.primary(3.0, 3.5, replace(PRIMARY, position=200, dialect=POSTGRESQL))
    assert cluster.replica(4.0, 4.9).lag == 0.5
