"""Does the monitor see what happens to real servers, in time, and nothing that does not happen?"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.scripts import Ask, script
from tests.cluster.sites import DRIVERS, environment
from tests.waiting import until

INTERVAL, TIMEOUT, MAX_LAG = 0.5, 1.0, 1.5
SLACK = 1.0  # two noisy cores
ROUNDS = 5  # in which nothing may happen
NODES = ("default", "replica_1", "replica_2")
SCRIPT = f"""
import json, sys, django
django.setup()
from dataclasses import asdict
from django_gmf_router.replicas.monitor import Monitor
from types import SimpleNamespace
from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.settings.values import parse
changes, hung = [], []
health = {{"INTERVAL": {INTERVAL}, "TIMEOUT": {TIMEOUT}, "MAX_LAG": {MAX_LAG}}}
config = parse("default", {{"REPLICAS": ["replica_1", "replica_2"], "HEALTH": health}})
sockets = SimpleNamespace(free=hung.append, shut=lambda *_: None, traffic=NodeSockets().traffic)
monitor = Monitor(config, sockets=sockets)
def note(before, after, announce=monitor._announce):
    if (before.state, before.generation) != (after.state, after.generation):
        changes.append([after.alias, before.state, after.state, after.since])
    announce(before, after)
monitor._announce = note
for line in sys.stdin:
    if line == "ensure\\n":
        monitor.ensure()
    nodes = {{alias: asdict(health) for alias, health in monitor.snapshot.items()}}
    print(json.dumps({{"nodes": nodes, "changes": changes, "hung": hung}}), flush=True)
"""
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gmf_monitor'"


class Watcher:
    """A process that runs a monitor and is asked what that knows."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def say(self, line: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._ask(line))
        return found

    def node(self, alias: str) -> dict[str, Any]:
        found: dict[str, Any] = self.say("look")["nodes"][alias]
        return found

    def states(self) -> dict[str, str]:
        return {alias: node["state"] for alias, node in self.say("look")["nodes"].items()}

    def until(self, alias: str, state: str) -> float:
        """Wait for the state of a node; answer since when it has it."""
        until(lambda: self.node(alias)["state"] == state, what=lambda: f"{alias} is {state}: {self.node(alias)}")
        return float(self.node(alias)["since"])

    def samples(self, rounds: int, *aliases: str) -> list[list[dict[str, Any]]]:
        """Wait until the monitor has asked each of these nodes so many times more; answer what it found each time."""
        found: dict[str, list[dict[str, Any]]] = {alias: [self.node(alias)] for alias in aliases}

        def are_there() -> bool:
            nodes = self.say("look")["nodes"]
            for alias, seen in found.items():
                if nodes[alias]["sampled_at"] != seen[-1]["sampled_at"]:
                    seen.append(nodes[alias])
            return min(map(len, found.values())) > rounds

        until(are_there, what=lambda: f"{rounds} rounds: {found}")
        return [seen[1:] for seen in found.values()]

    def lags(self) -> list[float]:
        """Return the lags of the replicas over some rounds."""
        return [node["lag"] for seen in self.samples(ROUNDS, "replica_1", "replica_2") for node in seen]


@contextmanager
def watching(
    cluster: LocalCluster, driver: str = "psycopg", begin: bool = True, first: dict[str, int] | None = None
) -> Iterator[Watcher]:
    """Run a monitor; `first`: by alias the port that its list of hosts names before its own."""
    env = environment(cluster, driver)
    databases = json.loads(env["GMF_TEST_DATABASES"])
    for alias, port in (first or {}).items():
        database = databases[alias]
        database.update(HOST=f"127.0.0.1,{database['HOST']}", PORT=f"{port},{database['PORT']}")
    with script(SCRIPT, {**env, "GMF_TEST_DATABASES": json.dumps(databases)}) as ask:
        watcher = Watcher(ask)
        if begin:
            watcher.say("ensure")
            until(lambda: all(node["lag"] is not None for node in replicas(watcher)))
        yield watcher


def replicas(watcher: Watcher) -> list[dict[str, Any]]:
    nodes = watcher.say("look")["nodes"]
    return [nodes["replica_1"], nodes["replica_2"]]


def connections(cluster: LocalCluster) -> list[str | None]:
    return [cluster.execute(node, CONNECTIONS)[0][0] for node in cluster.nodes]


@pytest.mark.parametrize("driver", DRIVERS)
def test_one_connection_to_each_node_none_before_the_first_use_and_none_left(
    gmf_cluster: LocalCluster, driver: str
) -> None:
    with watching(gmf_cluster, driver, begin=False) as watcher:
        watcher.say("look")
        assert connections(gmf_cluster) == ["0", "0", "0"]
        for _ in range(20):
            watcher.say("ensure")
        until(lambda: connections(gmf_cluster) == ["1", "1", "1"])
        watcher.samples(ROUNDS, *NODES)
        assert connections(gmf_cluster) == ["1", "1", "1"]
    until(lambda: connections(gmf_cluster) == ["0", "0", "0"])


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_connection_of_its_own_that_is_terminated_puts_no_node_down(gmf_cluster: LocalCluster, driver: str) -> None:
    with watching(gmf_cluster, driver) as watcher:
        for node in gmf_cluster.nodes:
            gmf_cluster.execute(node, CONNECTIONS.replace("count(*)", "pg_terminate_backend(pid)"))
        watcher.samples(ROUNDS, *NODES)
        assert watcher.say("look")["changes"] == []
        assert connections(gmf_cluster) == ["1", "1", "1"]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_that_is_killed_is_down_within_an_interval_and_back_with_another_generation(
    gmf_cluster: LocalCluster, driver: str
) -> None:
    with watching(gmf_cluster, driver) as watcher:
        before = time.time()
        gmf_cluster.kill("replica_1")
        assert watcher.until("replica_1", "down") - before < INTERVAL + SLACK
        assert watcher.states() == {"default": "up", "replica_1": "down", "replica_2": "up"}
        assert "refused" in watcher.node("replica_1")["error"]
        gmf_cluster.restart("replica_1")
        after = time.time()
        assert watcher.until("replica_1", "up") - after < 3 * INTERVAL + SLACK
        assert watcher.node("replica_1")["generation"] >= 1
        assert watcher.node("replica_2")["generation"] == 0


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_that_freezes_is_down_after_interval_and_time_out_and_holds_up_no_other(
    gmf_cluster: LocalCluster, driver: str
) -> None:
    with watching(gmf_cluster, driver) as watcher:
        before = time.time()
        gmf_cluster.freeze("replica_1")
        since = watcher.until("replica_1", "down")
        assert since - before < INTERVAL + TIMEOUT + SLACK
        # Its state is told first, and then what hangs on it.
        assert until(lambda: watcher.say("look")["hung"])[0] == "replica_1"
        (others,) = watcher.samples(ROUNDS, "replica_2")
        assert others[-1]["sampled_at"] - others[0]["sampled_at"] < (ROUNDS - 1) * INTERVAL + SLACK
        assert watcher.states()["replica_1"] == "down"
        before = time.time()
        gmf_cluster.kill("replica_2")
        assert watcher.until("replica_2", "down") - before < INTERVAL + SLACK
        gmf_cluster.thaw("replica_1")
        watcher.until("replica_1", "up")


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_silent_host_before_the_one_that_answers_puts_no_node_down(gmf_cluster: LocalCluster, driver: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with watching(gmf_cluster, driver, first={"default": port, "replica_1": port}) as watcher:
            watcher.samples(2, *NODES)
            found = watcher.say("look")
            assert (found["changes"], found["hung"]) == ([], [])
            gmf_cluster.freeze("replica_1")
            watcher.until("replica_1", "down")
            assert until(lambda: watcher.say("look")["hung"]) == ["replica_1"]


def test_a_probe_that_is_late_while_it_connects_cuts_nothing(gmf_cluster: LocalCluster) -> None:
    gmf_cluster.freeze("replica_1")
    with watching(gmf_cluster, begin=False) as watcher:
        watcher.say("ensure")
        watcher.until("replica_1", "down")
        watcher.samples(ROUNDS, "default", "replica_2")
        assert watcher.say("look")["hung"] == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_paused_replay_lags_after_the_limit_and_no_more_when_it_goes_on(
    gmf_cluster: LocalCluster, driver: str
) -> None:
    with watching(gmf_cluster, driver) as watcher:
        gmf_cluster.pause("replica_1")
        before = time.time()
        gmf_cluster.execute("primary", "CREATE TABLE behind (id int); DROP TABLE behind")
        since = watcher.until("replica_1", "lagging")
        assert MAX_LAG - 0.1 < since - before < MAX_LAG + 2 * INTERVAL + SLACK
        assert watcher.states() == {"default": "up", "replica_1": "lagging", "replica_2": "up"}
        assert watcher.node("replica_1")["lag"] > MAX_LAG
        gmf_cluster.resume("replica_1")
        watcher.until("replica_1", "up")


def test_a_replica_that_lags_serves_while_the_primary_is_away(gmf_cluster: LocalCluster) -> None:
    with watching(gmf_cluster) as watcher:
        gmf_cluster.pause("replica_1")
        gmf_cluster.execute("primary", "CREATE TABLE behind (id int); DROP TABLE behind")
        watcher.until("replica_1", "lagging")
        gmf_cluster.kill("primary")
        watcher.until("default", "down")
        watcher.until("replica_1", "up")
        until(lambda: [node["lag"] for node in replicas(watcher)] == [None, None])
        gmf_cluster.restart("primary")
        watcher.until("default", "up")
        # By what it knew, and by the server's word: it begins where it was.
        watcher.until("replica_1", "lagging")


def test_a_restart_between_two_probes_raises_the_generation(gmf_cluster: LocalCluster) -> None:
    with watching(gmf_cluster) as watcher:
        gmf_cluster.restart("replica_2")
        until(lambda: watcher.node("replica_2")["generation"] > 0)
        watcher.until("replica_2", "up")
        assert watcher.node("default")["generation"] == 0


def test_a_promoted_replica_is_down_and_says_why(gmf_cluster: LocalCluster) -> None:
    with watching(gmf_cluster) as watcher:
        gmf_cluster.promote("replica_1")
        watcher.until("replica_1", "down")
        node = watcher.node("replica_1")
        assert node["error"] == "The server says that it is a primary."
        assert node["generation"] == 1
        assert watcher.node("replica_2")["state"] == "up"


def test_nothing_lags_while_nobody_writes(gmf_cluster: LocalCluster) -> None:
    with watching(gmf_cluster) as watcher:
        assert max(watcher.lags()) < 0.3
        assert watcher.say("look")["changes"] == []


@pytest.mark.parametrize("sql", ["SELECT pg_switch_wal()", "CHECKPOINT", "SELECT pg_switch_wal(); CHECKPOINT"])
def test_nothing_lags_where_the_position_rests_at_the_start_of_a_segment(gmf_cluster: LocalCluster, sql: str) -> None:
    with watching(gmf_cluster) as watcher:
        gmf_cluster.execute("primary", f"CREATE TABLE gone (id int); DROP TABLE gone; {sql}")
        # One that keeps up may be seen behind once.
        watcher.samples(2, *NODES)
        assert max(watcher.lags()) < 0.3
        assert watcher.say("look")["changes"] == []


def test_nothing_lags_right_after_the_restart_of_an_idle_replica(gmf_cluster: LocalCluster) -> None:
    gmf_cluster.execute("primary", "CREATE TABLE gone (id int); DROP TABLE gone")
    gmf_cluster.wait_for_replay()
    gmf_cluster.restart("replica_1")
    with watching(gmf_cluster) as watcher:
        assert max(watcher.lags()) < 0.3


@pytest.mark.parametrize("rows", [1, 300])
def test_nothing_lags_while_a_transaction_that_wrote_waits(gmf_cluster: LocalCluster, rows: int) -> None:
    """What it wrote is inserted in the log and not flushed, and nobody sends it."""
    create = "DROP TABLE IF EXISTS waits; CREATE TABLE waits (id int, text text); GRANT INSERT ON waits TO PUBLIC"
    gmf_cluster.execute("primary", create)
    gmf_cluster.wait_for_replay()
    with watching(gmf_cluster) as watcher, psycopg.connect(gmf_cluster.dsn("primary")) as writer:
        writer.execute(f"INSERT INTO waits SELECT i, repeat('x', 100) FROM generate_series(1, {rows}) i")
        watcher.samples(2, *NODES)
        assert max(watcher.lags()) < 0.3
        writer.rollback()
        assert watcher.say("look")["changes"] == []
