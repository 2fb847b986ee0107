"""May a failed statement be repeated elsewhere only where nothing can be done twice?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from django_gmf_router import clusters, read_after, use_primary
from tests.conftest import OpenUnit

pytestmark = pytest.mark.usefixtures("unmirrored")
READ, WRITE = 'SELECT "a"."id" FROM "a"', 'INSERT INTO "a" VALUES (1)'


def wrapper(alias: str, **changes: Any) -> Any:
    return SimpleNamespace(**{"alias": alias, "in_atomic_block": False, "autocommit": True, **changes})


def moves(alias: str, sql: str | None = READ, **changes: Any) -> bool:
    return clusters.registry().clusters[0].reads.count_move(wrapper(alias, **changes), sql)


def test_a_read_of_a_replica_moves_in_a_request_and_outside(open_request: OpenUnit) -> None:
    assert moves("replica_1")
    with open_request():
        assert moves("replica_1")


def test_nothing_moves_inside_a_transaction(open_request: OpenUnit) -> None:
    with open_request():
        assert not moves("replica_1", in_atomic_block=True)
        assert not moves("replica_1", autocommit=False)


def test_a_unit_of_work_moves_twice_at_most(open_request: OpenUnit) -> None:
    with open_request():
        assert [moves("replica_1") for _ in range(4)] == [True, True, False, False]


def test_outside_requests_a_statement_counts_its_own_moves() -> None:
    count_move = clusters.registry().clusters[0].reads.count_move
    assert [count_move(wrapper("replica_1"), READ, moves) for moves in range(3)] == [True, True, False]


def test_a_read_of_the_primary_moves_only_in_a_request_that_only_reads(open_request: OpenUnit) -> None:
    assert not moves("default")
    with open_request("POST"):
        assert not moves("default")
    with open_request("GET") as unit:
        assert moves("default")
        assert moves("default", None)
        clusters.registry().clusters[0].policy.record(unit).write()
        assert not moves("default")
    with open_request("GET"), use_primary():
        assert not moves("default")
    # Nobody knows what it must see: no replica is sure to have it.
    with open_request("GET"), read_after("expired"):
        assert not moves("default")


def test_a_write_never_moves(open_request: OpenUnit) -> None:
    with open_request("GET"):
        assert not moves("default", WRITE)
        assert not moves("default", b"SELECT 1")  # type: ignore[arg-type]


def test_what_was_not_even_begun_is_repeated_where_it_reads_outside_transactions() -> None:
    reads = clusters.registry().clusters[0].reads
    assert reads.may_repeat(wrapper("default"), READ)
    assert reads.may_repeat(wrapper("replica_1"), WRITE)
    assert not reads.may_repeat(wrapper("default"), WRITE)
    assert not reads.may_repeat(wrapper("default", in_atomic_block=True), READ)
