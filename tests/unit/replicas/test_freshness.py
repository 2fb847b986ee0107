"""Is a replica taken to have a position only where that is sure?"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from django_gmf_router.consistency.tokens import Mark
from django_gmf_router.postgres.dialects import AURORA, POSTGRESQL
from django_gmf_router.replicas import freshness
from django_gmf_router.replicas import pool as replicas_pool
from django_gmf_router.replicas.freshness import Freshness
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.pool import ReplicaPool, Stable, Wanted, WeightedRandom
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig

MARK = Mark(cluster="default", system_identifier="7", timeline=3, position=100)
REPLICAS = ("replica_1", "replica_2")


class Server:
    """A connection wrapper whose server answers one row, and counts how often it was asked."""

    def __init__(self) -> None:
        self.connection: Any = object()
        self.node: str | None = None
        self.row: tuple[bool, int | None] = (True, 0)
        self.asked = 0

    def cursor(self) -> Any:
        self.asked += 1
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *args: object) -> None:
        return None

    def execute(self, sql: str) -> None:
        assert "pg_last_wal_replay_lsn" in sql

    def fetchone(self) -> Any:
        return self.row


class Site:
    """A cluster of which everything is known that a test says."""

    def __init__(self, balanced: set[str] | None = None) -> None:
        replicas = tuple(ReplicaConfig(alias=alias, balanced=alias in (balanced or ())) for alias in REPLICAS)
        self.config = ClusterConfig(primary="default", replicas=replicas)
        self.monitor = Monitor(self.config)
        self.connected = set(REPLICAS)
        self.monitor.is_connected = lambda alias: alias in self.connected  # type: ignore[method-assign]
        self.monitor.ensure = lambda: None  # type: ignore[method-assign]
        self.servers = {alias: Server() for alias in REPLICAS}
        self.freshness = Freshness(self.config, self.monitor)
        self.knows("default", timeline=3, system_identifier="7")
        for alias in REPLICAS:
            self.knows(alias, follows=3)

    def knows(self, alias: str, **changes: Any) -> None:
        self.monitor.publish({**self.monitor.snapshot, alias: replace(self.monitor.health(alias), **changes)})


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site()
    monkeypatch.setattr(freshness, "connections", site.servers)
    return site


def test_a_position_that_the_monitor_saw_costs_no_question(site: Site) -> None:
    site.knows("replica_1", position=100)
    site.knows("replica_2", position=99)
    assert site.freshness.is_known_to_have("replica_1", 100)
    assert not site.freshness.is_known_to_have("replica_2", 100)
    assert [server.asked for server in site.servers.values()] == [0, 0]


def test_what_was_asked_once_is_remembered(site: Site) -> None:
    site.servers["replica_1"].row = (True, 150)
    assert site.freshness.has("replica_1", MARK)
    assert site.freshness.is_known_to_have("replica_1", 150)
    assert not site.freshness.is_known_to_have("replica_1", 151)


def test_what_was_asked_before_the_server_came_back_is_forgotten(site: Site) -> None:
    site.servers["replica_1"].row = (True, 150)
    site.freshness.has("replica_1", MARK)
    site.knows("replica_1", generation=1)
    assert not site.freshness.is_known_to_have("replica_1", 100)


def test_what_is_known_does_not_count_when_the_server_went_away_since(site: Site) -> None:
    site.knows("replica_1", position=100)
    site.connected.clear()
    assert not site.freshness.is_known_to_have("replica_1", 100)


def test_a_connection_that_moved_is_asked(site: Site) -> None:
    site.knows("replica_1", position=100)
    site.servers["replica_1"].node = "replica_2"
    assert not site.freshness.is_known_to_have("replica_1", 100)
    site.servers["replica_1"].row = (True, 150)
    assert site.freshness.has("replica_1", MARK)
    site.servers["replica_1"].node = None
    assert not site.freshness.is_known_to_have("replica_1", 150)


def test_a_replica_that_is_not_known_to_follow_the_primary_serves_no_token(site: Site) -> None:
    site.servers["replica_1"].row = (True, 150)
    site.knows("replica_1", position=150, follows=2)
    assert not site.freshness.has("replica_1", MARK)
    assert not site.freshness.sees("replica_1", site.servers["replica_1"], MARK)
    site.knows("replica_1", follows=3)
    assert site.freshness.has("replica_1", MARK)
    assert site.freshness.sees("replica_1", site.servers["replica_1"], MARK)


@pytest.mark.usefixtures("unmirrored")
def test_the_pool_asks_only_those_that_follow_the_primary(site: Site) -> None:
    site.knows("replica_1", position=150, follows=None)
    site.knows("replica_2", position=100)
    assert {pool(site).pick(Wanted(mark=MARK, time=0.0))[0] for _ in range(20)} == {"replica_2"}
    site.knows("replica_2", follows=2)
    assert pool(site).pick(Wanted(mark=MARK, time=0.0)) == (None, "consistency")
    assert [server.asked for server in site.servers.values()] == [0, 0]


def test_a_balanced_alias_is_asked_each_time() -> None:
    site = Site(balanced={"replica_1"})
    site.knows("replica_1", position=100)
    assert not site.freshness.is_known_to_have("replica_1", 100)


def test_a_replica_that_was_promoted_has_nothing_and_the_primary_all(site: Site) -> None:
    site.servers["replica_1"].row = (False, None)
    assert not site.freshness.has("replica_1", MARK)
    site.servers["replica_1"].node = "default"
    assert site.freshness.has("replica_1", MARK)


@pytest.mark.parametrize(
    "changes",
    [
        {"timeline": 4},
        {"timeline": None},
        {"system_identifier": "8"},
    ],
)
def test_a_mark_of_another_history_is_served_by_the_primary(site: Site, changes: dict[str, Any]) -> None:
    site.knows("replica_1", position=1000)
    assert site.freshness.is_of_this_history(MARK)
    site.knows("default", **changes)
    assert not site.freshness.is_of_this_history(MARK)


def test_while_the_primary_is_away_a_replica_serves_that_was_seen_at_the_position(site: Site) -> None:
    site.knows("default", state=State.DOWN)
    for alias, proven in (("replica_1", 100), ("replica_2", 99)):
        # What it has replayed since then may be another primary's.
        site.knows(alias, position=1000, proven=proven)
        site.servers[alias].row = (True, 1000)
        assert site.freshness.follows(alias, MARK) is (proven == 100)
        assert site.freshness.has(alias, MARK) is (proven == 100)
        assert site.freshness.sees(alias, site.servers[alias], MARK) is (proven == 100)
    assert site.freshness.is_of_this_history(MARK)
    site.knows("replica_1", follows=None, proven=None)
    assert not site.freshness.follows("replica_1", MARK)


def test_while_the_primary_is_away_an_alias_of_several_servers_serves_if_one_was_seen_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(balanced={"replica_1"})
    site.knows("default", state=State.DOWN)
    monkeypatch.setattr(site.monitor, "members", lambda alias: ("replica_1@db:1", "replica_1@db:2"))
    known = site.monitor.snapshot["replica_1"]
    for node, proven in (("replica_1@db:1", 99), ("replica_1@db:2", 99)):
        site.monitor.publish({**site.monitor.snapshot, node: replace(known, alias=node, balanced=False, proven=proven)})
    assert not site.freshness.follows("replica_1", MARK)
    site.knows("replica_1@db:2", proven=100)
    assert site.freshness.follows("replica_1", MARK)
    site.knows("replica_1@db:2", balanced=True)
    assert not site.freshness.follows("replica_1", MARK)


def pool(site: Site, now: float = 0.0) -> ReplicaPool:
    # On SQLite WINDOW counts as it is.
    return ReplicaPool(
        site.config, site.monitor, site.freshness, balancer=WeightedRandom(lambda: 0.0), clock=lambda: now
    )


@pytest.fixture
def unasked(site: Site) -> Site:
    """Return the site whose replicas have what is wanted, and of which this thread is connected to the second."""
    for server in site.servers.values():
        server.row = (True, 150)
    site.servers["replica_1"].connection = None
    return site


@pytest.mark.usefixtures("unmirrored")
def test_who_is_connected_is_asked_since_to_connect_takes_longer(unasked: Site) -> None:
    wanted = Wanted(mark=MARK, time=0.0)
    assert pool(unasked).pick(wanted) == ("replica_2", "")
    assert [server.asked for server in unasked.servers.values()] == [0, 1]
    unasked.freshness = Freshness(unasked.config, unasked.monitor)
    unasked.servers["replica_2"].connection = None
    assert pool(unasked).pick(wanted) == ("replica_1", "")


@pytest.mark.usefixtures("unmirrored")
def test_a_client_that_is_to_stay_with_a_replica_stays_while_another_is_connected(unasked: Site) -> None:
    wanted = Wanted(mark=MARK, time=0.0)

    def pick(key: str) -> str | None:
        # What was answered is remembered, and would be preferred.
        freshness = Freshness(unasked.config, unasked.monitor)
        return ReplicaPool(unasked.config, unasked.monitor, freshness, balancer=Stable()).pick(wanted, key)[0]

    assert {pick(f"client {number}") for number in range(40)} == set(REPLICAS)


@pytest.mark.usefixtures("unmirrored")
def test_the_pool_prefers_who_is_known_to_have_it_then_asks_then_leaves_it_to_the_primary(site: Site) -> None:
    wanted = Wanted(mark=MARK, time=0.0)
    assert pool(site).pick(wanted) == (None, "consistency")
    site.servers["replica_1"].row = (True, 100)
    assert pool(site).pick(wanted) == ("replica_1", "")
    fresh = Site()
    fresh.knows("replica_2", position=100)
    assert pool(fresh).pick(wanted) == ("replica_2", "")
    assert fresh.servers["replica_1"].asked == 0


@pytest.mark.usefixtures("unmirrored")
def test_a_replica_for_a_mark_of_another_history_is_not_picked(site: Site) -> None:
    site.knows("replica_1", position=1000)
    assert pool(site).pick(Wanted(mark=MARK, time=0.0)) == ("replica_1", "")
    site.knows("default", timeline=4)
    assert pool(site).pick(Wanted(mark=MARK, time=0.0)) == (None, "consistency")


@pytest.mark.usefixtures("unmirrored")
@pytest.mark.parametrize(("now", "expected"), [(4.9, (None, "consistency")), (5.1, ("replica_1", ""))])
def test_a_write_without_a_position_counts_for_the_window(site: Site, now: float, expected: tuple[Any, str]) -> None:
    wanted = Wanted(mark=replace(MARK, position=None), time=0.0)
    assert pool(site, now).pick(wanted) == expected


@pytest.mark.parametrize(
    ("alias", "function"), [("default", "pg_walfile_name"), ("replica_1", "pg_last_wal_replay_lsn")]
)
@pytest.mark.usefixtures("unmirrored")
def test_a_replica_goes_by_time_where_it_or_its_primary_tells_no_position(
    site: Site, alias: str, function: str
) -> None:
    site.knows(alias, dialect=POSTGRESQL.without(function))
    site.knows("replica_2", state=State.DOWN)
    assert pool(site, 4.9).pick(Wanted(mark=MARK, time=0.0)) == (None, "consistency")
    assert pool(site, 5.1).pick(Wanted(mark=MARK, time=0.0)) == ("replica_1", "")
    assert not pool(site, 4.9).sees("replica_1", site.servers["replica_1"], Wanted(mark=MARK, time=0.0))
    assert pool(site, 5.1).sees("replica_1", site.servers["replica_1"], Wanted(mark=MARK, time=0.0))
    # A query that is refused each time would be one too many.
    assert site.servers["replica_1"].asked == 0


@pytest.mark.usefixtures("unmirrored")
def test_one_that_can_be_asked_is_preferred_to_one_that_goes_by_time(site: Site) -> None:
    site.knows("replica_1", dialect=POSTGRESQL.without("pg_last_wal_replay_lsn"))
    site.knows("replica_2", dialect=POSTGRESQL, position=100)
    assert pool(site, 5.1).pick(Wanted(mark=MARK, time=0.0)) == ("replica_2", "")
    site.knows("replica_2", position=99)
    assert pool(site, 5.1).pick(Wanted(mark=MARK, time=0.0)) == ("replica_1", "")


@pytest.mark.usefixtures("unmirrored")
def test_where_the_lag_is_measured_the_window_is_no_shorter_than_a_replica_may_lag(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.servers["default"] = SimpleNamespace(vendor="postgresql")  # type: ignore[assignment]
    monkeypatch.setattr(replicas_pool, "connections", site.servers)
    monkeypatch.setattr(ReplicaPool, "is_mirrored", lambda *_: False)
    site.knows("replica_1", dialect=AURORA, lag=0.02)
    site.knows("replica_2", state=State.DOWN)
    longest = site.config.health.max_lag + 2 * site.config.health.interval
    assert pool(site, longest - 0.1).pick(Wanted(mark=MARK, time=0.0)) == (None, "consistency")
    assert pool(site, longest + 0.1).pick(Wanted(mark=MARK, time=0.0)) == ("replica_1", "")
    # Of what nobody measures there is no bound: then WINDOW is what the site says.
    site.knows("replica_1", lag=None)
    assert pool(site, 5.1).pick(Wanted(mark=MARK, time=0.0)) == ("replica_1", "")
    # It may be unknown since the primary is away alone.
    site.knows("default", state=State.DOWN)
    assert pool(site, 5.1).pick(Wanted(mark=MARK, time=0.0)) == (None, "consistency")


@pytest.mark.usefixtures("unmirrored")
def test_replicas_that_are_down_or_lag_are_not_picked(site: Site) -> None:
    site.knows("replica_1", state=State.DOWN)
    assert pool(site).pick() == ("replica_2", "")
    site.knows("replica_2", state=State.LAGGING)
    assert pool(site).pick() == (None, "no_replica")


@pytest.mark.usefixtures("unmirrored")
@pytest.mark.parametrize(("state", "goes_on"), [(State.UP, True), (State.DOWN, True), (State.LAGGING, False)])
def test_what_has_begun_on_a_replica_leaves_one_that_lags(site: Site, state: str, goes_on: bool) -> None:
    site.knows("replica_1", state=state)
    assert pool(site).may_go_on("replica_1") is goes_on
    assert pool(site).may_go_on("replica_1", for_ever=True) is goes_on


@pytest.mark.usefixtures("unmirrored")
def test_what_went_to_another_replica_leaves_that_if_it_lags(site: Site) -> None:
    site.servers["replica_1"].node = "replica_2"
    site.knows("replica_1", state=State.DOWN)
    assert pool(site).may_go_on("replica_1")
    site.knows("replica_2", state=State.LAGGING)
    assert not pool(site).may_go_on("replica_1")


def test_a_stable_balancer_moves_only_the_clients_of_the_replica_that_went() -> None:
    stable = Stable(WeightedRandom(lambda: 0.0))
    three = [("replica_1", 1.0), ("replica_2", 1.0), ("replica_3", 2.0)]
    before = {f"client {number}": stable.pick(three, f"client {number}") for number in range(400)}
    after = {key: stable.pick(three[:2], key) for key in before}
    assert {alias: list(before.values()).count(alias) > 60 for alias, _ in three} == dict.fromkeys(dict(three), True)
    assert list(before.values()).count("replica_3") > 140
    assert all(after[key] == alias for key, alias in before.items() if alias != "replica_3")
    assert stable.pick(three) == "replica_1"


def test_a_read_is_asked_of_nobody_in_an_event_loop(site: Site) -> None:
    from django.core.exceptions import SynchronousOnlyOperation

    def refuse() -> Any:
        raise SynchronousOnlyOperation

    site.servers["replica_1"].cursor = refuse  # type: ignore[method-assign]
    assert not site.freshness.has("replica_1", MARK)
