"""How does a test end the sessions of a site on a server, or take all that a server has?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from django_gmf_router.testing import LocalCluster

ROOM = "current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
SPARED = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name = %s"
OTHERS = "FROM pg_stat_activity WHERE usename = current_user AND backend_type = 'client backend' AND pid <> ALL(%s)"


def terminate(cluster: LocalCluster, node: str, backend: int) -> None:
    """End one session."""
    assert cluster.execute(node, f"SELECT pg_terminate_backend({backend})") == [("t",)]


class Terminator:
    """Ends sessions of the site on some nodes, at random, the monitor's among them."""

    def __init__(self, cluster: LocalCluster, nodes: list[str], chance: float = 0.7) -> None:
        self._stack = ExitStack()
        self._chance = chance
        self._connections = [
            self._stack.enter_context(psycopg.connect(cluster.dsn(node), autocommit=True)) for node in nodes
        ]
        self.ended = 0

    def strike(self) -> None:
        """End each session on one of the nodes with the chance given."""
        connection = random.choice(self._connections)
        own = [connection.info.backend_pid]
        ended = connection.execute(
            f"SELECT count(pg_terminate_backend(pid)) {OTHERS} AND random() < %s", [own, self._chance]
        ).fetchone()
        assert ended is not None
        self.ended += ended[0]

    def __enter__(self) -> Terminator:
        return self

    def __exit__(self, *args: object) -> None:
        self._stack.close()


@contextmanager
def exhausted(cluster: LocalCluster, node: str, spared: str | None = None) -> Iterator[int]:
    """Take all connections of a server, those that the site has too, and answer how many that is.

    spared: the application_name of those that are left.
    """
    with ExitStack() as stack:
        mine: list[psycopg.Connection] = []

        def fill() -> None:
            while True:
                try:
                    connection = psycopg.connect(cluster.dsn(node), autocommit=True)
                except psycopg.OperationalError as error:
                    if "too many clients" in str(error) or "remaining connection slots" in str(error):
                        return
                    raise
                mine.append(stack.enter_context(connection))

        def ended() -> int:
            sql = f"SELECT count(pg_terminate_backend(pid)) {OTHERS} AND application_name IS DISTINCT FROM %s"
            row = mine[0].execute(sql, [_pids(mine), spared]).fetchone()
            assert row is not None
            return int(row[0])

        def left() -> int:
            # One that is just being opened is in no view yet: what there is to have is counted.
            row = mine[0].execute(f"SELECT {ROOM} - count(*) {SPARED}", [spared]).fetchone()
            assert row is not None
            return int(row[0]) - len(mine)

        # What the site has or gets meanwhile falls to whoever comes first: until it is all ours.
        fill()
        while ended() or left() > 0:
            fill()
        yield len(mine)


def _pids(connections: list[psycopg.Connection]) -> list[int]:
    return [connection.info.backend_pid for connection in connections]
