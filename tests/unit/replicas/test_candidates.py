"""Are nodes tried in an order that nobody regrets?"""

from __future__ import annotations

from typing import Any

from django_gmf_router.replicas.nodes import nodes_for_reads_of_the_primary, nodes_to_try

REPLICAS = ("replica_1", "replica_2", "replica_3")


def tried(
    alias: str | tuple[str, ...], *, down: tuple[str, ...] = (), lagging: tuple[str, ...] = (), **kwargs: Any
) -> list[str]:
    own = alias if isinstance(alias, tuple) else (alias,)
    return list(
        nodes_to_try(
            own,
            primary="default",
            replicas=[replica for replica in REPLICAS if replica not in own],
            is_out=lambda node: node in down,
            serves=lambda node: node not in {*down, *lagging},
            **kwargs,
        )
    )


def test_its_own_node_first_then_the_others_at_last_the_primary() -> None:
    assert tried("replica_2") == ["replica_2", "replica_1", "replica_3", "default"]


def test_nodes_that_are_down_or_lag_are_left_out() -> None:
    assert tried("replica_1", down=("replica_1",), lagging=("replica_2",)) == ["replica_3", "default"]
    assert tried("replica_1", down=REPLICAS) == ["default"]


def test_the_node_that_just_failed_is_left_out() -> None:
    assert "replica_1" not in tried("replica_1", avoid=["replica_1"])
    assert "replica_2" not in tried("replica_1", avoid=["replica_2"])


def test_of_several_servers_those_that_serve_are_tried_in_their_order() -> None:
    several = ("replica_3", "replica_1", "replica_2")
    assert tried(several) == [*several, "default"]
    assert tried(several, down=("replica_1",)) == ["replica_3", "replica_2", "default"]
    assert tried(several, lagging=("replica_3",)) == ["replica_1", "replica_2", "default"]
    assert tried(several, lagging=several) == [*several, "default"]
    assert tried(several, avoid=["replica_3"]) == ["replica_1", "replica_2", "default"]


def test_reads_of_the_primary_go_to_replicas_that_are_up_while_it_is_away() -> None:
    def found(down: tuple[str, ...] = (), avoid: tuple[str, ...] = ()) -> list[str]:
        return list(
            nodes_for_reads_of_the_primary("default", replicas=REPLICAS, is_out=lambda node: node in down, avoid=avoid)
        )

    assert found()[0] == "default"
    # At last the primary: it may be back.
    without_one = found(down=("default", "replica_1"))
    assert (set(without_one[:-1]), without_one[-1]) == ({"replica_2", "replica_3"}, "default")
    assert found(avoid=("default",))[-1] == "default"
