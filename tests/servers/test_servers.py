"""Does each web server keep what is promised, whatever its processes, threads and forks are?"""

from __future__ import annotations

import time

from django_gmf_router.testing import LocalCluster
from tests.chaos.load import Client, Load
from tests.chaos.runs import FAST_SECONDS, Run, replica_killed
from tests.chaos.sites import HANG_SECONDS, INTERVAL, MAX_LAG, TIMEOUT
from tests.chaos.test_primary import SLOWEST_SECONDS, WRITES_AT_RETURN
from tests.servers.sites import ServedSite
from tests.waiting import until

CLIENTS = 4
SESSIONS = "FROM pg_stat_activity WHERE usename = 'gmf' AND application_name = ''"


def test_no_get_fails_when_a_replica_is_killed_and_each_process_sees_it_return(
    site: ServedSite, cluster: LocalCluster
) -> None:
    replica_killed(site, cluster, clients=CLIENTS)


def test_a_frozen_replica_holds_each_process_once(site: ServedSite, cluster: LocalCluster) -> None:
    with Run(site, "replica frozen", clients=CLIENTS) as run:
        run.strike(lambda: cluster.freeze("replica_2"))
        run.go_on(HANG_SECONDS + 1)
        cluster.thaw("replica_2")
    run.check(HANG_SECONDS)
    run.check_fast_after(HANG_SECONDS)


def test_writes_answer_503_while_the_primary_is_away_and_200_from_its_return_on(
    site: ServedSite, cluster: LocalCluster
) -> None:
    write = f"/change?name={site.name}"
    with Run(site, "primary killed", clients=CLIENTS) as run:
        assert site.ask(write, "POST").status == 200
        run.strike(lambda: cluster.kill("primary"))
        refused = [site.ask(write, "POST") for _ in range(CLIENTS)]
        run.go_on()
        cluster.restart("primary")
        returned = [site.ask(write, "POST") for _ in range(WRITES_AT_RETURN)]
    run.check(SLOWEST_SECONDS)
    assert [(answer.status, answer.retry_after is not None) for answer in refused] == [(503, True)] * CLIENTS
    assert [answer.status for answer in returned] == [200] * WRITES_AT_RETURN, returned


def test_the_first_write_after_its_idle_session_ended_succeeds(site: ServedSite, cluster: LocalCluster) -> None:
    with Load(site.url, ["/page"], clients=CLIENTS) as load:
        load.wait_for(CLIENTS)
    client = Client(site.url, method="POST")
    before = client.ask("/change?name=before")
    cluster.execute("primary", f"SELECT pg_terminate_backend(pid) {SESSIONS}")
    until(lambda: cluster.execute("primary", f"SELECT count(*) {SESSIONS}") == [("0",)], what="the sessions ended")
    after = client.ask("/change?name=after")
    client.close()
    assert (before.status, after.status) == (200, 200), (before, after)


def test_a_death_while_nobody_asks_is_noticed(site: ServedSite, cluster: LocalCluster) -> None:
    start = len(site.log())
    cluster.kill("replica_1")
    if site.row.watches:
        seen = lambda: site.log()[start:].count("event=node_down The replica replica_1 is down")  # noqa: E731
        until(lambda: seen() >= site.workers, 10 * INTERVAL, lambda: f"seen in {seen()} of {site.workers} processes")
    began = time.monotonic()
    answers = [site.ask("/page") for _ in range(CLIENTS)]
    assert [answer.status for answer in answers] == [200] * CLIENTS, answers
    assert time.monotonic() - began <= CLIENTS * FAST_SECONDS


def test_who_was_idle_serves_nothing_older_than_max_lag(site: ServedSite, cluster: LocalCluster) -> None:
    for replica in ("replica_1", "replica_2"):
        cluster.pause(replica)
    assert site.ask("/change?name=newer", "POST").status == 200
    # What is waited for is the age itself: nobody may ask meanwhile. Without threads that of what is known, too.
    time.sleep(MAX_LAG + 2 * INTERVAL if site.row.watches else 3 * INTERVAL + TIMEOUT + 1)
    with Load(site.url, ["/page"], clients=CLIENTS) as load:
        load.wait_for(10 * CLIENTS)
    assert {answer.body.get("port") for answer in load.answers} == {cluster.port("primary")}, load.answers[:8]
