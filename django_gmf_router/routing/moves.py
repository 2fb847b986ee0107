"""May a statement that failed with its node be repeated on another one?"""

from __future__ import annotations

from typing import Any

from django_gmf_router.routing.policy import Policy
from django_gmf_router.routing.statements import classify
from django_gmf_router.routing.unit_of_work import open_unit

MOVES = 2
"""Of a unit of work, and of a statement outside of any: from one replica to the next, and to the primary."""


def may_move(policy: Policy, wrapper: Any, sql: Any) -> bool:
    """Return whether, and count it: two moves at most for a unit of work; outside of any the statement counts its own.

    Never inside a transaction. On a replica's alias any statement may be repeated, since its session is read-only; on
    the primary's only what is plainly a read, of a request that only reads. `sql` is None where a cursor is wanted.
    """
    if not may_repeat(policy, wrapper, sql):
        return False
    if wrapper.alias == policy.primary and not policy.only_reads():
        return False
    unit = open_unit()
    if unit is None:
        return True
    unit.moves += 1
    return unit.moves <= MOVES


def may_repeat(policy: Policy, wrapper: Any, sql: Any) -> bool:
    """Return whether a statement can be executed again as if it were the first time: a read, in no transaction."""
    if wrapper.in_atomic_block or not wrapper.autocommit:
        return False
    return wrapper.alias != policy.primary or sql is None or not classify(sql).writes
