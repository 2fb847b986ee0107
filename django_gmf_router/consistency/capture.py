"""How far has the primary written, after a unit of work that wrote?"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error

from django_gmf_router.marks import Mark
from django_gmf_router.postgres import positions

# The insert position, not the flush position, which lies behind with synchronous_commit=off. A segment's file name
# begins with the timeline.
WRITTEN = "SELECT lsn::text, substr(pg_walfile_name(lsn), 1, 8) FROM (SELECT pg_current_wal_insert_lsn() AS lsn) AS now"


def time_mark(cluster: str) -> Mark:
    """Return a mark of the time alone."""
    return Mark(cluster=cluster, system_identifier=None, timeline=None, position=None)


def capture(wrapper: Any, *, cluster: str, system_identifier: str | None) -> Mark:
    """Return the mark of what was committed until now: one query on the primary's open connection `wrapper`.

    A mark of the time alone where there is no position to be had: another vendor, a connection that is closed or inside
    a transaction, a server that fails.
    """
    if wrapper.vendor != "postgresql" or wrapper.connection is None or wrapper.in_atomic_block:
        return time_mark(cluster)
    try:
        with wrapper.cursor() as cursor:
            cursor.execute(WRITTEN)
            position, timeline = cursor.fetchone()
    except (Error, SynchronousOnlyOperation):
        return time_mark(cluster)
    return Mark(
        cluster=cluster,
        system_identifier=system_identifier,
        timeline=int(timeline, 16),
        position=positions.at_rest(positions.parse(position)),
    )
