"""Is a transaction open on the primary that a read has to join?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connections

from django_gmf_router.routing.unit_of_work import ClusterRecord, UnitOfWork


class PrimaryConnection(threading.local):
    """This thread's connection wrapper of one primary alias, without the microsecond that `connections[alias]` costs.

    A pair of thread id and wrapper would be as fast, but the ids of dead threads are given again (runserver makes a
    thread a request), and the new thread would be shown the dead one's transaction.
    """

    wrapper: Any = None

    def __init__(self, alias: str, on_connection: Callable[[Any], None]) -> None:
        """Fetch the wrapper of `alias` once a thread, which opens nothing, and show it to `on_connection`."""
        self.wrapper = connections[alias]
        on_connection(self.wrapper)


def counts(wrapper: Any, unit: UnitOfWork, record: ClusterRecord) -> bool:
    """Return whether a transaction is open on `wrapper` that is neither a TestCase's nor ATOMIC_REQUESTS' own."""
    if not wrapper.in_atomic_block:
        return not wrapper.autocommit and wrapper.connection is not None
    blocks = [block for block in wrapper.atomic_blocks if not block._from_testcase]
    if blocks and _is_own(blocks[0], wrapper, unit, record):
        del blocks[0]
    return bool(blocks)


def _is_own(block: object, wrapper: Any, unit: UnitOfWork, record: ClusterRecord) -> bool:
    """Return whether `block`, the outermost one, is that which ATOMIC_REQUESTS opened around the view.

    The view is never marked: two threads would race on it. The handler resolves the view before it opens the block, so
    the first outermost block seen after that is its own, and a later one is the view's or a middleware's.
    """
    if record.own_transaction is None and _view_is_atomic(wrapper, unit):
        record.own_transaction = block
    return block is record.own_transaction


def _view_is_atomic(wrapper: Any, unit: UnitOfWork) -> bool:
    match = getattr(unit.request, "resolver_match", None)
    if match is None or not wrapper.settings_dict["ATOMIC_REQUESTS"]:
        return False
    return wrapper.alias not in getattr(match.func, "_non_atomic_requests", ())
