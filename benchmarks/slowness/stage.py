"""On what do all sites run, and how does a replica of it get slow? A real cluster, each replica behind a proxy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from benchmarks.slowness import PLACES, QUERIES
from django_gmf_router.testing import LocalCluster
from tests.chaos.proxy import Proxy

DELAY_SECONDS = 0.3
SPARED = "spared"
# Nothing differs but the wait: what is slow says a row of the primary, which a replica has at once.
TABLES = """
SET ROLE gmf;
CREATE TABLE bench_slowness (port int PRIMARY KEY, seconds float8 NOT NULL);
CREATE FUNCTION bench_waited() RETURNS bool LANGUAGE plpgsql VOLATILE AS $$
    DECLARE wait float8;
    BEGIN
        SELECT seconds INTO wait FROM bench_slowness
            WHERE port = current_setting('port')::int AND current_setting('application_name') <> '$SPARED';
        IF wait > 0 THEN PERFORM pg_sleep(wait); END IF;
        RETURN true;
    END $$;
CREATE TABLE bench_row (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO bench_row SELECT n, 'place ' || n FROM generate_series(1, $PLACES) n;
CREATE VIEW bench_place AS
    SELECT id, name, current_setting('port')::int AS port FROM bench_row WHERE bench_waited();
RESET ROLE;
ANALYZE bench_row;
""".replace("$PLACES", str(PLACES)).replace("$SPARED", SPARED)
NO_TABLES = "DROP VIEW bench_place; DROP FUNCTION bench_waited; DROP TABLE bench_row, bench_slowness"


class Stage:
    """A cluster with the rows of the sites, whose replicas can be made slow."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._stack = ExitStack()
        self._proxies: dict[str, Proxy] = {}
        # A wire of its own for who is spared, which costs as much.
        self._spared: dict[str, Proxy] = {}

    @property
    def replicas(self) -> Sequence[str]:
        """The names of the replicas."""
        return self._cluster.nodes[1:]

    @property
    def proxy_ports(self) -> dict[str, int]:
        """Where the sites reach each replica."""
        return {replica: proxy.port for replica, proxy in self._proxies.items()}

    def server_port(self, replica: str) -> int:
        """Return the port of a replica as its server knows it, and its rows say."""
        return self._cluster.port(replica)

    def databases(self, engine: str, *, is_spared: bool = False) -> dict[str, Any]:
        """Return Django's DATABASES; for a site that is spared no replica is ever slow."""
        found = self._cluster.databases(engine=engine)
        for replica, proxy in (self._spared if is_spared else self._proxies).items():
            found[replica]["PORT"] = proxy.port
            found[replica]["OPTIONS"]["application_name"] = SPARED if is_spared else ""
        return {alias: {**settings, "CONN_MAX_AGE": 600} for alias, settings in found.items()}

    def slow(self, way: str, slow: Collection[str]) -> None:
        """Make these replicas slow, and the others fast; a row takes a moment to be replayed."""
        if way == QUERIES:
            ports = ", ".join(["0", *(str(self.server_port(replica)) for replica in slow)])
            seconds = f"CASE WHEN port IN ({ports}) THEN {DELAY_SECONDS} ELSE 0 END"
            self._cluster.execute("primary", f"UPDATE bench_slowness SET seconds = {seconds}")  # noqa: S608  our own
            return
        for replica, proxy in self._proxies.items():
            proxy.slow(DELAY_SECONDS) if replica in slow else proxy.pass_on()

    def __enter__(self) -> Stage:
        self._cluster.execute("primary", TABLES)
        self._stack.callback(self._cluster.execute, "primary", NO_TABLES)
        ports = ", ".join(f"({self.server_port(replica)}, 0)" for replica in self.replicas)
        self._cluster.execute("primary", f"INSERT INTO bench_slowness VALUES {ports}")  # noqa: S608  our own
        self._cluster.wait_for_replay()
        for proxies in (self._proxies, self._spared):
            for replica in self.replicas:
                proxies[replica] = self._stack.enter_context(Proxy(self.server_port(replica)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
