"""What do readers notice when replicas die, hang, come back or are promoted? The budgets, under load."""

from __future__ import annotations

import re
import time
from urllib.parse import quote

from django_gmf_router.replicas.probes import APPLICATION_NAME
from django_gmf_router.testing import LocalCluster
from tests.chaos.runs import FAST_SECONDS, REQUESTS, RETURN_SECONDS, Run, replica_frozen, replica_killed
from tests.chaos.sessions import Terminator, exhausted
from tests.chaos.sites import HANG_SECONDS, INTERVAL, ChaosSite, chaos_site, once
from tests.waiting import until

PRIMARY_SERVES_SECONDS = 3.0
REPLICAS = ["replica_1", "replica_2"]
TERMINATED = 50
THREADS = 8


def served_since(run: Run, moment: float) -> set[int]:
    """The ports of the servers of the requests that began after a moment."""
    return {answer.body["port"] for answer in run.load.answers if answer.began > moment}


def test_no_get_fails_when_a_replica_is_killed_and_it_serves_soon_after_its_restart(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    run = replica_killed(site, cluster)
    assert "event=node_down" in run.log()
    assert "event=node_up" in run.log()


def test_no_get_fails_when_a_replica_is_restarted(site: ChaosSite, cluster: LocalCluster) -> None:
    with Run(site, "replica restarted") as run:
        run.strike(lambda: cluster.restart("replica_1"))
        back = run.serves_again(cluster.port("replica_1"), time.monotonic())
        run.go_on()
    run.check(FAST_SECONDS)
    assert back <= RETURN_SECONDS


def test_no_get_fails_when_both_replicas_are_killed_since_the_primary_serves(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    with Run(site, "both replicas killed") as run:
        run.strike(lambda: (cluster.kill("replica_1"), cluster.kill("replica_2")))
        killed_at = time.monotonic()
        run.go_on(3 * INTERVAL)
    run.check(PRIMARY_SERVES_SECONDS)
    assert served_since(run, killed_at) == {cluster.port("primary")}
    assert {answer.body["reason"] for answer in run.begun_after(2 * INTERVAL)} == {"no_replica"}
    assert "event=no_replica" in run.log()


def test_a_frozen_replica_holds_only_what_it_was_reading_and_serves_soon_after_it_thaws(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    run = replica_frozen(site, cluster)
    assert "event=node_down The replica replica_1 is down" in run.log()


def test_both_replicas_frozen_hold_only_what_they_were_reading(site: ChaosSite, cluster: LocalCluster) -> None:
    with Run(site, "both replicas frozen") as run:
        run.strike(lambda: (cluster.freeze("replica_1"), cluster.freeze("replica_2")))
        run.go_on(HANG_SECONDS + 1)
    run.check(HANG_SECONDS)
    run.check_fast_after(HANG_SECONDS)
    assert {answer.body["port"] for answer in run.begun_after(HANG_SECONDS)} == {cluster.port("primary")}


def test_no_get_fails_when_sessions_on_replicas_are_terminated_at_random(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    with Terminator(cluster, REPLICAS) as terminator, Run(site, "backends terminated") as run:
        run.strike(terminator.strike)
        while len(run.load.answers) < REQUESTS or terminator.ended < TERMINATED:
            # A read is moved once, and a request twice: none is hit more often.
            run.load.wait_for_each_client()
            terminator.strike()
        run.note(f"{terminator.ended} terminated")
    run.check(FAST_SECONDS)
    assert "event=retry" in run.log()


def test_a_promoted_replica_serves_no_more_reads_and_is_never_written_to(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    name = f"to {site.name}"
    with Run(site, "replica promoted") as run:
        run.strike(lambda: cluster.promote("replica_1"))
        promoted_at = time.monotonic()
        run.go_on(2 * RETURN_SECONDS)
        wrote = {site.ask(f"/change?name={quote(name)}", "POST").body["port"] for _ in range(20)}
    run.check(FAST_SECONDS)
    assert re.search(r"event=node_down .*replica_1 is down: The server says that it is a primary", run.log())
    assert wrote == {cluster.port("primary")}
    assert cluster.port("replica_1") not in served_since(run, promoted_at + RETURN_SECONDS)
    assert cluster.execute("replica_1", f"SELECT count(*) FROM library_author WHERE name = '{name}'") == [("0",)]


def test_no_get_fails_when_a_replica_has_no_connection_left(site: ChaosSite, cluster: LocalCluster) -> None:
    with Run(site, "max_connections exhausted") as run:
        run.strike(lambda: None)
        with exhausted(cluster, "replica_1") as taken:
            full_at = time.monotonic()
            run.note(f"{taken} taken in {full_at - (run.struck_at or 0):.1f} s")
            run.go_on(2 * RETURN_SECONDS)
            empty_at = time.monotonic()
        back = run.serves_again(cluster.port("replica_1"), empty_at)
    run.check(FAST_SECONDS)
    assert cluster.port("replica_1") not in {
        answer.body["port"] for answer in run.load.answers if full_at < answer.began and answer.ended < empty_at
    }
    assert re.search("event=(retry|node_down) .*(too many clients|connection slots)", run.log())
    assert back <= RETURN_SECONDS


@once
def test_a_replica_that_is_full_but_well_is_asked_for_a_connection_once_an_interval(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    with Run(site, "max_connections exhausted, but for the monitor") as run:
        run.strike(lambda: None)
        with exhausted(cluster, "replica_1", spared=APPLICATION_NAME):
            full_at = time.monotonic()
            run.go_on(full_at - (run.struck_at or 0) + 5 * INTERVAL)
            empty_at = time.monotonic()
    elsewhere = {a.body["backend"] for a in run.load.answers if full_at < a.began and a.ended < empty_at}
    run.note(f"{len(elsewhere)} sessions elsewhere in {empty_at - full_at:.1f} s")
    # What moved stays there, but for a look once an INTERVAL in each thread.
    assert len(elsewhere) <= 2 * THREADS + THREADS * (empty_at - full_at) / INTERVAL, run.line()
    run.check(HANG_SECONDS)


def test_a_dead_monitor_is_replaced_and_frees_what_a_frozen_replica_holds(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    with Run(site, "monitor killed, replica frozen") as run:
        dead = {pid: set(answer.body["threads"]) for pid, answer in site.each_worker("/kill-monitor").items()}
        assert all(dead.values())

        def are_replaced() -> bool:
            told = {pid: answer.body for pid, answer in site.each_worker("/monitor").items()}
            # A probe that has no connection yet cannot tell what hangs from what is refused.
            return all(told[pid]["hears"] and not {*told[pid]["threads"]} & dead[pid] for pid in dead)

        killed_at = time.monotonic()
        until(are_replaced, 10 * INTERVAL, "new threads watch the nodes")
        run.note(f"replaced after {time.monotonic() - killed_at:.2f} s")
        run.strike(lambda: cluster.freeze("replica_1"))
        run.go_on(HANG_SECONDS + 1)
    run.check(HANG_SECONDS)
    run.check_fast_after(HANG_SECONDS)


def test_with_a_stock_engine_reads_fail_only_until_the_replica_is_known_to_be_down(
    library: LocalCluster, cluster: LocalCluster
) -> None:
    with chaos_site("gunicorn", "psycopg", library, engine="django.db.backends.postgresql") as site:
        site.wait_until_whole()
        with Run(site, "stock ENGINE: replica killed") as run:
            run.strike(lambda: cluster.kill("replica_1"))
            run.go_on(3 * INTERVAL)
    late = [answer for answer in run.begun_after(2 * INTERVAL) if answer.is_failed]
    assert not late, f"{run.line()}\n{site.errors()}"
