"""How old may what a reader sees be when a replica lags?"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import psycopg

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.processes import send
from tests.chaos.load import Answer, Load
from tests.chaos.runs import FAST_SECONDS, Run
from tests.chaos.sites import INTERVAL, MAX_LAG, ChaosSite, once
from tests.chaos.views import CLOCK
from tests.waiting import TIMEOUT_SECONDS, until

STALE_SECONDS = MAX_LAG + 2 * INTERVAL
TICK_SECONDS = 0.05


@contextmanager
def clock(cluster: LocalCluster) -> Iterator[None]:
    """Write the time to a row on the primary, again and again."""
    stopped, ticked = threading.Event(), threading.Event()
    tell = f"UPDATE library_author SET name = '{CLOCK} ' || extract(epoch FROM clock_timestamp()) WHERE name LIKE %s"
    with psycopg.connect(cluster.dsn("primary"), autocommit=True) as connection:
        connection.execute("DELETE FROM library_author WHERE name LIKE %s", [f"{CLOCK} %"])
        connection.execute("INSERT INTO library_author (name) VALUES (%s)", [f"{CLOCK} 0"])

        def tick() -> None:
            while not stopped.wait(TICK_SECONDS):
                connection.execute(tell, [f"{CLOCK} %"])
                ticked.set()

        thread = threading.Thread(target=tick)
        thread.start()
        try:
            assert ticked.wait(TIMEOUT_SECONDS)
            cluster.wait_for_replay()
            yield
        finally:
            stopped.set()
            thread.join()


def oldest(answers: list[Answer]) -> float:
    return max(answer.body["age"] for answer in answers)


@contextmanager
def quiet(cluster: LocalCluster) -> Iterator[None]:
    """Keep the primary from writing of its own accord: now and then it logs which transactions are open."""
    sql = """SELECT pid FROM pg_stat_activity
        WHERE backend_type IN ('background writer', 'checkpointer', 'autovacuum launcher')"""
    processes = [psutil.Process(int(pid or 0)) for (pid,) in cluster.execute("primary", sql)]
    assert len(processes) == 3
    send(processes, signal.SIGSTOP)
    try:
        cluster.wait_for_replay()
        yield
    finally:
        send(processes, signal.SIGCONT)


def served_after(site: ChaosSite, seconds: float) -> set[int]:
    """Keep asking for so many seconds; return the ports of the nodes that serve then."""
    end = time.monotonic() + seconds
    with Load(site.url, ["/page"], clients=2) as load:
        until(lambda: load.answers and load.answers[-1].began > end, seconds + TIMEOUT_SECONDS)
        load.wait_for(len(load.answers) + 50)
    return {answer.body["port"] for answer in load.answers if answer.began > end}


def test_nobody_reads_what_is_older_than_max_lag_and_two_intervals(site: ChaosSite, cluster: LocalCluster) -> None:
    with clock(cluster), Run(site, "replay paused", paths=["/clock"], clients=6) as run:
        run.strike(lambda: cluster.pause("replica_1"))
        run.go_on(STALE_SECONDS + 3)
        lagged = cluster.port("replica_1") in {answer.body["port"] for answer in run.begun_after(STALE_SECONDS)}
        cluster.resume("replica_1")
        run.serves_again(cluster.port("replica_1"), time.monotonic())
    run.note(f"oldest {oldest(run.answers):.2f} s, without the fault {oldest(run.baseline):.2f} s")
    run.check(FAST_SECONDS)
    assert not lagged
    assert oldest(run.answers) <= STALE_SECONDS, run.line()
    assert "event=node_lagging" in run.log()


@once
def test_the_primary_serves_when_both_replicas_lag(site: ChaosSite, cluster: LocalCluster) -> None:
    with clock(cluster), Run(site, "replay paused on both", paths=["/clock"], clients=6) as run:
        run.strike(lambda: (cluster.pause("replica_1"), cluster.pause("replica_2")))
        run.go_on(STALE_SECONDS + 2)
    run.note(f"oldest {oldest(run.answers):.2f} s")
    run.check(FAST_SECONDS)
    assert {answer.body["port"] for answer in run.begun_after(STALE_SECONDS)} == {cluster.port("primary")}
    assert oldest(run.answers) <= STALE_SECONDS, run.line()


@once
def test_a_replica_on_which_nothing_happens_does_not_lag(site: ChaosSite, cluster: LocalCluster) -> None:
    with quiet(cluster):
        cluster.pause("replica_1")
        assert served_after(site, MAX_LAG + 3 * INTERVAL) == {cluster.port("replica_1"), cluster.port("replica_2")}


@once
def test_replicas_go_on_serving_when_the_primary_is_away_and_nobody_knows_their_lag(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    cluster.kill("primary")
    site.wait_until_known_to_be_down("default")
    assert served_after(site, MAX_LAG + 2 * INTERVAL) == {cluster.port("replica_1"), cluster.port("replica_2")}
