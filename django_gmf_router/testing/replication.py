"""Does a replica follow its primary, and how is it held back or let go?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from django_gmf_router.testing.errors import LocalClusterError
from django_gmf_router.testing.node import Node
from django_gmf_router.testing.values import Role

POLL_SECONDS = 0.02
ROLE_TIMEOUT_SECONDS = 3.0

# A committed record first, since it takes everything before it to disk: the flush position then covers
# commits with synchronous_commit=off too. Not the insert position: at rest it may point past a page header,
# a place that no replica ever reports.
FLUSHED = "SELECT pg_logical_emit_message(true, 'gmf', '') IS NULL; SELECT pg_current_wal_flush_lsn();"
TRUE = [("t",)]
STREAMING = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"


def role_of(node: Node) -> Role | None:
    """Return the role as the server says it, None when it does not answer."""
    if node.state() != "running":
        return None
    try:
        rows = node.query("SELECT pg_is_in_recovery()", timeout_seconds=ROLE_TIMEOUT_SECONDS)
    except LocalClusterError:
        return None
    return "replica" if rows == TRUE else "primary"


def pause(node: Node, timeout_seconds: float) -> None:
    """Stop the replay of the write-ahead log and return when it stands; raises LocalClusterError."""
    node.query("SELECT pg_wal_replay_pause()")
    reached = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
    wait_for(lambda: is_true(node, reached), timeout_seconds, f"{node.name} did not pause its replay")


def resume(node: Node) -> None:
    node.query("SELECT pg_wal_replay_resume()")


def promote(node: Node, timeout_seconds: float) -> None:
    """Make a replica a primary of its own and return when it takes writes; raises LocalClusterError."""
    if not is_true(node, "SELECT pg_is_in_recovery()"):
        raise LocalClusterError(f"{node.name} is a primary already: promote a replica")
    # The server tells of its own time-out, before psql's.
    promoted = node.query(f"SELECT pg_promote(true, {round(timeout_seconds)})", timeout_seconds=timeout_seconds + 5)
    if promoted != TRUE:
        raise LocalClusterError(f"{node.name} was not promoted within {timeout_seconds:g} s: see {node.log}")


def wait_for_replay(primary: Node, replicas: Sequence[Node], timeout_seconds: float) -> None:
    """Wait until replicas have replayed what the primary has committed; raises LocalClusterError."""
    position = primary.query(FLUSHED)[-1][0]
    reached = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
    deadline = time.monotonic() + timeout_seconds
    for node in replicas:
        message = f"{node.name} did not replay {position}: is it paused, frozen or stopped?"
        wait_for(lambda node=node: is_true(node, reached), deadline - time.monotonic(), message)  # type: ignore[misc]


def wait_for_streaming(replicas: Sequence[Node], timeout_seconds: float) -> None:
    """Wait until replicas receive from their primary; raises LocalClusterError."""
    deadline = time.monotonic() + timeout_seconds
    for node in replicas:
        message = f"{node.name} does not receive from the primary: see {node.log}"
        wait_for(lambda node=node: streams(node), deadline - time.monotonic(), message)  # type: ignore[misc]


def streams(node: Node) -> bool:
    """Return whether a server receives from its primary at this moment."""
    return node.query(STREAMING) == [("1",)]


def is_whole(node: Node) -> bool:
    """Return whether a running replica does what replicas do: follows, receives and replays."""
    sql = f"SELECT pg_is_in_recovery() AND NOT pg_is_wal_replay_paused() AND ({STREAMING}) = 1"
    try:
        return is_true(node, sql)
    except LocalClusterError:
        # A server that is no replica refuses the question about its replay.
        return False


def if_lame(node: Node) -> Node | None:
    """Return the replica unless it is whole."""
    return None if is_whole(node) else node


def is_true(node: Node, sql: str) -> bool:
    return node.query(sql) == TRUE


def wait_for(reached: Callable[[], bool], timeout_seconds: float, message: str) -> None:
    """Ask until it is so; raises LocalClusterError with the message when time is over."""
    deadline = time.monotonic() + timeout_seconds
    while not reached():
        if time.monotonic() > deadline:
            raise LocalClusterError(f"{message} (waited {max(0.0, timeout_seconds):.1f} s)")
        time.sleep(POLL_SECONDS)
