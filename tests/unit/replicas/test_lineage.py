"""When is a replica known to replay what the primary of now writes?"""

from __future__ import annotations

from django_gmf_router.replicas.health import NodeHealth
from django_gmf_router.replicas.observer import Lineage
from django_gmf_router.replicas.readings import Reading


def at(position: int | None, generation: int = 0, alias: str = "replica_1") -> NodeHealth:
    return NodeHealth(alias=alias, role="replica", since=0.0, position=position, generation=generation)


def primary(lineage: Lineage, position: int, timeline: int = 2) -> None:
    lineage.primary(Reading(up=True, role="primary", position=position, timeline=timeline))


def follows(lineage: Lineage, health: NodeHealth) -> int | None:
    return lineage.replica(health)[0]


def test_one_that_stands_where_the_primary_does_follows_it() -> None:
    lineage = Lineage()
    assert follows(lineage, at(100)) is None
    primary(lineage, 100)
    assert follows(lineage, at(100)) == 2


def test_one_that_comes_to_where_the_primary_was_seen_beyond_it_follows_it() -> None:
    lineage = Lineage()
    primary(lineage, 120)
    assert follows(lineage, at(100)) is None
    primary(lineage, 140)
    assert follows(lineage, at(119)) is None
    assert follows(lineage, at(121)) == 2
    assert follows(lineage, at(121)) == 2


def test_a_stray_that_the_primary_passes_does_not_follow_it() -> None:
    lineage = Lineage()
    for position in (90, 95, 120, 140):
        primary(lineage, position)
        assert follows(lineage, at(100)) is None


def test_after_a_promotion_it_has_to_be_seen_anew() -> None:
    lineage = Lineage()
    primary(lineage, 100, timeline=1)
    assert follows(lineage, at(100)) == 1
    primary(lineage, 130, timeline=2)
    assert follows(lineage, at(110)) is None
    assert follows(lineage, at(130)) == 2


def test_a_server_that_came_back_has_to_be_seen_anew() -> None:
    lineage = Lineage()
    primary(lineage, 100)
    assert follows(lineage, at(100)) == 2
    primary(lineage, 150)
    assert follows(lineage, at(None)) is None
    assert follows(lineage, at(120, generation=1)) is None
    assert follows(lineage, at(150, generation=1)) == 2


def test_each_replica_has_its_own_way() -> None:
    lineage = Lineage()
    primary(lineage, 100)
    assert follows(lineage, at(100)) == 2
    assert follows(lineage, at(99, alias="replica_2")) is None


def test_while_the_primary_is_away_one_more_answer_counts() -> None:
    lineage = Lineage()
    primary(lineage, 100)
    assert lineage.replica(at(100)) == (2, None)
    lineage.lose()
    assert lineage.replica(at(110)) == (2, 110)
    lineage.lose()
    assert lineage.replica(at(150)) == (2, 110)
    primary(lineage, 160)
    assert lineage.replica(at(150)) == (2, None)


def test_a_server_that_came_back_while_the_primary_is_away_follows_nobody_that_is_known() -> None:
    lineage = Lineage()
    primary(lineage, 100)
    assert lineage.replica(at(100)) == (2, None)
    lineage.lose()
    assert lineage.replica(at(100, generation=1)) == (None, None)
    primary(lineage, 100)
    assert lineage.replica(at(100, generation=1)) == (2, None)
