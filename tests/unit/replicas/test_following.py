"""When is a replica known to replay what the primary of now writes?"""

from __future__ import annotations

from django_gmf_router.replicas.following import Following
from django_gmf_router.replicas.health import NodeHealth
from django_gmf_router.replicas.probes import Reading


def at(position: int | None, generation: int = 0, alias: str = "replica_1") -> NodeHealth:
    return NodeHealth(alias=alias, role="replica", since=0.0, position=position, generation=generation)


def primary(following: Following, position: int, timeline: int = 2) -> None:
    following.primary(Reading(up=True, role="primary", position=position, timeline=timeline))


def test_one_that_stands_where_the_primary_does_follows_it() -> None:
    following = Following()
    assert following.replica(at(100)) is None
    primary(following, 100)
    assert following.replica(at(100)) == 2


def test_one_that_comes_to_where_the_primary_was_seen_beyond_it_follows_it() -> None:
    following = Following()
    primary(following, 120)
    assert following.replica(at(100)) is None
    primary(following, 140)
    assert following.replica(at(119)) is None
    assert following.replica(at(121)) == 2
    assert following.replica(at(121)) == 2


def test_a_stray_that_the_primary_passes_does_not_follow_it() -> None:
    following = Following()
    for position in (90, 95, 120, 140):
        primary(following, position)
        assert following.replica(at(100)) is None


def test_after_a_promotion_it_has_to_be_seen_anew() -> None:
    following = Following()
    primary(following, 100, timeline=1)
    assert following.replica(at(100)) == 1
    primary(following, 130, timeline=2)
    assert following.replica(at(110)) is None
    assert following.replica(at(130)) == 2


def test_a_server_that_came_back_has_to_be_seen_anew() -> None:
    following = Following()
    primary(following, 100)
    assert following.replica(at(100)) == 2
    primary(following, 150)
    assert following.replica(at(None)) is None
    assert following.replica(at(120, generation=1)) is None
    assert following.replica(at(150, generation=1)) == 2


def test_each_replica_has_its_own_way() -> None:
    following = Following()
    primary(following, 100)
    assert following.replica(at(100)) == 2
    assert following.replica(at(99, alias="replica_2")) is None
