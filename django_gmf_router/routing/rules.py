"""Which rules say WHAT a read may use? The table of the policy, and what its rows ask.

They are explained in docs/explanation/how-a-query-finds-its-database.md, whose table is compared with this one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_gmf_router.routing.aliases import RoutedAlias
from django_gmf_router.routing.unit_of_work import Blocks, ClusterRecord, UnitOfWork, innermost_role
from django_gmf_router.settings.values import Role

if TYPE_CHECKING:
    from django.db.models import Model

    from django_gmf_router.replicas.pool import ReplicaPool

PRIMARY, REPLICA = Role.PRIMARY, Role.REPLICA


class PrimaryConnection(threading.local):
    """This thread's connection wrapper of one primary alias, without the microsecond that `connections[alias]` costs.

    A pair of thread id and wrapper would be as fast, but the ids of dead threads are given again (runserver makes a
    thread a request), and the new thread would be shown the dead one's transaction.
    """

    wrapper: BaseDatabaseWrapper

    def __init__(self, alias: str) -> None:
        """Fetch the wrapper of `alias` once a thread, which opens nothing."""
        self.wrapper = connections[alias]


class Read(NamedTuple):
    """A read that is to be decided: all that a rule may look at."""

    pool: ReplicaPool
    connection: PrimaryConnection
    """To the primary, of this thread."""
    unit: UnitOfWork | None
    record: ClusterRecord
    """What the unit of work remembers of the cluster; NO_RECORD where there is none."""
    blocks: Blocks
    model_is_primary: bool = False
    instance: Model | None = None
    is_opted_in: bool = True
    """Whether REPLICA_MODELS holds the model."""


class Rule(NamedTuple):
    """A rule of the policy: its number in the table, what it answers, and when."""

    number: int | str
    reason: str
    role: Role
    holds: Callable[[Read], bool]
    when: str
    detail: str = ""
    """What `gmf_explain` says of it, with the values of the request."""


def _may_only_read(read: Read) -> bool:
    """Return whether maintenance keeps a request off the primary; what has begun to write there ends there."""
    is_request = read.unit is not None and read.unit.method is not None
    return is_request and not read.record.wrote and read.pool.is_in_maintenance()


def _joins_a_transaction(read: Read) -> bool:
    wrapper = read.connection.wrapper
    if wrapper.in_atomic_block:
        return read.unit is not None and _counts(wrapper, read.unit, read.record)
    return not wrapper.autocommit and wrapper.connection is not None


def _counts(wrapper: BaseDatabaseWrapper, unit: UnitOfWork, record: ClusterRecord) -> bool:
    """Return whether a block of `atomic` is open on `wrapper` that is neither a TestCase's nor ATOMIC_REQUESTS' own.

    The view is never marked: two threads would race on it. The handler resolves the view before it opens the block, so
    the first outermost block seen after that is its own, and a later one is the view's or a middleware's.
    """
    blocks = [block for block in wrapper.atomic_blocks if not block._from_testcase]  # type: ignore[attr-defined]
    if not blocks:
        return False
    if unit.view_is_over:
        return True
    if record.own_transaction is None and _view_is_atomic(wrapper, unit):
        record.own_transaction = blocks[0]
    return len(blocks) > 1 or blocks[0] is not record.own_transaction


def _view_is_atomic(wrapper: BaseDatabaseWrapper, unit: UnitOfWork) -> bool:
    match = getattr(unit.request, "resolver_match", None)
    if match is None or not wrapper.settings_dict["ATOMIC_REQUESTS"]:
        return False
    return wrapper.alias not in getattr(match.func, "_non_atomic_requests", ())


def _is_on_primary(read: Read) -> bool:
    """Return whether the instance, if any, was loaded from or saved to the primary."""
    if read.instance is None:
        return False
    alias = read.instance._state.db
    return alias == read.connection.wrapper.alias and type(alias) is not RoutedAlias


RULES = (
    Rule(1, "maintenance", REPLICA, _may_only_read,
         "maintenance is on, and a request is served that has written nothing"),
    Rule(2, "no_primary", REPLICA,
         lambda read: (read.model_is_primary and read.record.verdict.role == REPLICA
                       and read.pool.primary_is_down()),
         "the model is a primary model, the primary is known to be down, and method and path stand for a replica"),
    Rule(2, "primary_model", PRIMARY, lambda read: read.model_is_primary,
         "the model is a primary model", "{model} is in PRIMARY_MODELS"),
    Rule(3, "consistency", PRIMARY, lambda read: any(block.unmet for block in read.blocks),
         "a `read_after()` block is open whose token has expired or is not ours"),
    Rule(3, "use_primary", PRIMARY, lambda read: innermost_role(read.blocks) == PRIMARY,
         "the innermost open block is `use_primary()`"),
    Rule(3, "use_replica", REPLICA, lambda read: innermost_role(read.blocks) == REPLICA,
         "the innermost open block is `use_replica()`"),
    Rule(4, "outside_request", PRIMARY, lambda read: read.unit is None,
         "no unit of work is open, and `OUTSIDE_REQUESTS` is `\"primary\"`"),
    Rule("4b", "not_opted_in", PRIMARY, lambda read: not read.is_opted_in,
         "the model is not in `REPLICA_MODELS`", "{model} is not in REPLICA_MODELS"),
    Rule(5, "master_override", PRIMARY, lambda read: read.record.verdict.master is not None,
         "a `master` pattern matches", 'DB_CHOOSER["master"] holds {master}'),
    Rule("5b", "share", PRIMARY, lambda read: not read.record.verdict.shares,
         "the client is not in `SHARE`"),
    Rule("5c", "chooser", PRIMARY, lambda read: read.record.verdict.chosen == PRIMARY,
         "no `slave` pattern matches, and `CHOOSER` says primary"),
    Rule(6, "write_method", PRIMARY, lambda read: read.record.verdict.reason == "write_method",
         "the method is no read method, and no `slave` pattern matches",
         "{method} is not in READ_METHODS and no slave pattern matches"),
    Rule(7, "wrote", PRIMARY, lambda read: read.record.wrote > 0,
         "this unit of work has written to the primary"),
    Rule(8, "atomic", PRIMARY, _joins_a_transaction,
         "a transaction is open on the primary, other than that of `ATOMIC_REQUESTS` or of a `TestCase`"),
    Rule(9, "instance", PRIMARY, _is_on_primary,
         "the `instance` of the read was loaded from the primary or saved to it"),
    Rule(10, "chooser", REPLICA, lambda read: read.record.verdict.chosen == REPLICA,
         "no `slave` pattern matches, and `CHOOSER` says replica"),
    Rule(10, "read_method", REPLICA, lambda read: read.record.verdict.reads,
         "the method is a read method", "{method} is in READ_METHODS"),
    Rule(10, "slave_override", REPLICA, lambda read: read.record.verdict.slave is not None,
         "a `slave` pattern matches", 'DB_CHOOSER["slave"] holds {slave}'),
    Rule(10, "unit_of_work", REPLICA, lambda read: read.record.verdict.reason == "unit_of_work",
         "a `unit_of_work()` is open, as in a job"),
    Rule(10, "outside_request", REPLICA, lambda read: read.record.verdict.reason == "outside_request",
         "no request is served, and `OUTSIDE_REQUESTS` is `\"replica\"`"),
)  # fmt: skip
"""The first that holds wins. Rules 5, 6 and 10 look at the request alone."""
