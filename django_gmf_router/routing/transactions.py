"""Is a transaction open on the primary that a read has to join?"""

from __future__ import annotations

import threading

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_gmf_router.routing.unit_of_work import ClusterRecord, UnitOfWork


class PrimaryConnection(threading.local):
    """This thread's connection wrapper of one primary alias, without the microsecond that `connections[alias]` costs.

    A pair of thread id and wrapper would be as fast, but the ids of dead threads are given again (runserver makes a
    thread a request), and the new thread would be shown the dead one's transaction.
    """

    wrapper: BaseDatabaseWrapper

    def __init__(self, alias: str) -> None:
        """Fetch the wrapper of `alias` once a thread, which opens nothing."""
        self.wrapper = connections[alias]


def counts(wrapper: BaseDatabaseWrapper, unit: UnitOfWork, record: ClusterRecord) -> bool:
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
