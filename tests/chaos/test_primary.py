"""What do readers and writers notice while the primary is away, and when it comes back? The budgets, under load."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.cookies import SimpleCookie
from urllib.parse import quote

import pytest

from django_gmf_router.postgres.libpq import CONNECT_TIMEOUT_SECONDS
from django_gmf_router.testing import LocalCluster
from tests.chaos.load import Client, Load
from tests.chaos.runs import Run
from tests.chaos.sites import INTERVAL, ChaosSite, once
from tests.waiting import until

SLOWEST_SECONDS = 3.0
WRITES_AT_RETURN = 16
STANDING = 4
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'INSERT%pg_sleep%'"


def given_cookies(site: ChaosSite, path: str) -> dict[str, str]:
    """Return the cookies that a POST is answered with."""
    connection = http.client.HTTPConnection(site.site.host, site.site.port, timeout=20)
    connection.request("POST", path)
    response = connection.getresponse()
    response.read()
    assert response.status == 200
    given = SimpleCookie("; ".join(response.headers.get_all("Set-Cookie", [])))
    connection.close()
    return {name: f"{name}={morsel.coded_value}" for name, morsel in given.items()}


@pytest.fixture
def cookies(site: ChaosSite, cluster: LocalCluster) -> dict[str, str]:
    """The cookies of somebody who has just logged in, whose session has reached the replicas."""
    given = given_cookies(site, "/log-in?name=somebody")
    cluster.wait_for_replay()
    return given


@pytest.fixture
def logged_in(cookies: dict[str, str]) -> dict[str, str]:
    """The headers of somebody who is logged in, and has written nothing lately."""
    return {"Cookie": cookies["sessionid"]}


@contextmanager
def readers(run: Run, path: str, headers: dict[str, str]) -> Iterator[None]:
    """Two more clients of the run's load, with headers of their own."""
    with Load(run.site.url, [path], clients=2, headers=headers, keep=run.load.answers.append):
        yield


@contextmanager
def demoted(cluster: LocalCluster) -> Iterator[None]:
    """Restart the primary as a standby, which it stays during the block."""
    signal = cluster._server("primary").data / "standby.signal"
    signal.touch()
    try:
        cluster.restart("primary")
        yield
    finally:
        signal.unlink()
        cluster.restart("primary")


def test_gets_go_on_and_writes_answer_503_while_the_primary_is_away(
    site: ChaosSite, cluster: LocalCluster, logged_in: dict[str, str]
) -> None:
    run = Run(site, "primary killed", clients=4)
    write = f"/change?name={quote(f'away {site.name}')}"
    with run, readers(run, "/me", logged_in), readers(run, "/touch", logged_in):
        run.load.wait_for(50)
        with Load(site.url, [write], clients=2, method="POST", pause_seconds=0.05) as writers:
            writers.wait_for(4)
            run.strike(lambda: cluster.kill("primary"))
            run.go_on(3 * INTERVAL)
        before = len(writers.answers)
        cluster.restart("primary")
        client = Client(site.url, method="POST")
        returned = [client.ask(write) for _ in range(WRITES_AT_RETURN)]
        client.close()
    assert run.struck_at is not None
    run.check(SLOWEST_SECONDS)
    assert {answer.status for answer in writers.answers} == {200, 503}, writers.answers
    refused = [answer for answer in writers.answers if answer.status == 503]
    run.note(f"{len(refused)} of {before} writes refused, slowest {max(w.seconds for w in refused):.3f} s")
    assert all(int(answer.retry_after or 0) >= 1 for answer in refused)
    assert all(answer.status == 503 for answer in writers.answers if answer.began > run.struck_at + 0.5)
    assert [answer.status for answer in returned] == [200] * WRITES_AT_RETURN, returned
    assert {answer.body["port"] for answer in returned} == {cluster.port("primary")}
    assert {a.body["user"] for a in run.load.answers if a.path in {"/me", "/touch"}} == {"somebody"}
    assert "event=session_not_saved" in run.log()
    assert "event=node_down The primary default is down" in run.log()


@once
@pytest.mark.parametrize(("fault", "mend"), [("kill", "restart"), ("freeze", "thaw")])
def test_who_has_just_written_gets_503_only_where_no_replica_has_it_while_the_primary_is_away(
    site: ChaosSite, cluster: LocalCluster, cookies: dict[str, str], fault: str, mend: str
) -> None:
    replayed = {"Cookie": cookies["gmf_token"]}
    assert site.ask("/page", headers=replayed).status == 200
    for replica in ("replica_1", "replica_2"):
        cluster.pause(replica)
    token = {"Cookie": given_cookies(site, "/change?name=late")["gmf_token"]}
    getattr(cluster, fault)("primary")
    site.wait_until_known_to_be_down("default")
    for _ in range(8):
        answer = site.ask("/page", headers=token)
        assert (answer.status, answer.retry_after is not None) == (503, True), answer
        assert answer.seconds < CONNECT_TIMEOUT_SECONDS, answer
        answer = site.ask("/page", headers=replayed)
        assert (answer.status, answer.seconds < CONNECT_TIMEOUT_SECONDS) == (200, True), answer
    assert site.ask("/page").status == 200
    for replica in ("replica_1", "replica_2"):
        cluster.resume(replica)
    getattr(cluster, mend)("primary")
    until(lambda: site.ask("/page", headers=token).status == 200, 3 * INTERVAL, "the page is there again")


@once
def test_a_get_that_writes_answers_200_in_each_thread_once_the_primary_is_back(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    since = len(site.log())
    for replica in ("replica_1", "replica_2"):
        cluster.pause(replica)
    with Load(site.url, ["/change?name=each"], method="POST") as writers:
        # Every thread has a connection that will die.
        writers.wait_for(100)
    token = {"Cookie": token_of(site)}
    cluster.kill("primary")
    site.wait_until_known_to_be_down("default")
    # Each fails on the primary, and on the replicas, which have not replayed what it wrote.
    refused = [site.ask("/page", headers=token).status for _ in range(WRITES_AT_RETURN)]
    for replica in ("replica_1", "replica_2"):
        cluster.resume(replica)
    cluster.restart("primary")
    site.wait_until_whole()
    assert refused == [503] * WRITES_AT_RETURN
    returned = [site.ask("/change?name=by-get") for _ in range(WRITES_AT_RETURN)]
    assert [answer.status for answer in returned] == [200] * WRITES_AT_RETURN, returned
    # No read moved: a line that says so would be false.
    assert "moves to another node: PrimaryUnavailable" not in site.log()[since:]


def token_of(site: ChaosSite) -> str:
    """Write, and return the cookie that says so."""
    connection = http.client.HTTPConnection(site.site.host, site.site.port, timeout=20)
    connection.request("POST", "/change?name=token")
    response = connection.getresponse()
    response.read()
    connection.close()
    return str(response.headers["Set-Cookie"]).partition(";")[0]


def test_nothing_but_503_while_no_node_at_all_answers(
    site: ChaosSite, cluster: LocalCluster, logged_in: dict[str, str]
) -> None:
    for node in cluster.nodes:
        cluster.kill(node)
    # Connections that died, then none, whatever is known: of the worker's other thread, or another worker.
    for _ in range(12):
        for path, headers in (("/page", {}), ("/me", logged_in)):
            answer = site.ask(path, headers=headers)
            assert (answer.status, int(answer.retry_after or 0) > 0) == (503, True), answer
        assert site.ask("/change?name=nowhere", "POST").status == 503
    cluster.restart("primary")
    assert [site.ask("/page").status for _ in range(WRITES_AT_RETURN)] == [200] * WRITES_AT_RETURN


@once
def test_a_demoted_primary_that_is_the_last_node_serves_nobody_who_has_just_written(
    site: ChaosSite, cluster: LocalCluster, cookies: dict[str, str]
) -> None:
    token = {"Cookie": cookies["gmf_token"]}
    with demoted(cluster):
        for replica in ("replica_1", "replica_2"):
            cluster.kill(replica)
        site.wait_until_known_to_be_down("default")
        for _ in range(8):
            assert site.ask("/page", headers=token).status == 503
            assert site.ask("/page").body["port"] == cluster.port("primary")


@once
def test_each_write_that_was_answered_200_is_there_once_and_no_other(site: ChaosSite, cluster: LocalCluster) -> None:
    name = f"once {site.name}"
    with Load(site.url, [f"/change?name={quote(name)}"], clients=4, method="POST", pause_seconds=0.02) as writers:
        writers.wait_for(50)
        cluster.kill("primary")
        writers.wait_for(len(writers.answers) + 20)
        cluster.restart("primary")
        writers.wait_for(len(writers.answers) + 50)
    written = sum(not answer.is_failed for answer in writers.answers)
    assert {answer.status for answer in writers.answers} == {200, 503}
    ((count,),) = cluster.execute("primary", f"SELECT count(*) FROM library_author WHERE name = '{name}'")
    # A write may be committed whose answer was lost with the primary: at most one for each client.
    assert written <= int(count or 0) <= written + 4


@once
def test_a_frozen_primary_holds_no_get(site: ChaosSite, cluster: LocalCluster) -> None:
    with Run(site, "primary frozen") as run:
        run.strike(lambda: cluster.freeze("primary"))
        run.go_on(3 * INTERVAL)
        cluster.thaw("primary")
    run.check(SLOWEST_SECONDS)


def test_writes_under_way_while_the_primary_stands_still_for_seconds_are_answered_200(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    name, since = f"stood still {site.name}", len(site.log())
    with ThreadPoolExecutor(STANDING) as pool:
        path = f"/slow-write?seconds=1&name={quote(name)}"
        answers = [pool.submit(site.ask, path, "POST") for _ in range(STANDING)]
        until(lambda: cluster.execute("primary", SLEEPING) == [(f"{STANDING}",)], 20, "the writes are under way")
        cluster.freeze("primary")
        site.wait_until_each_worker_logs("The primary default is down", since)
        cluster.thaw("primary")
        found = [answer.result(timeout=30) for answer in answers]
    assert [answer.status for answer in found] == [200] * STANDING, found
    assert cluster.execute("primary", f"SELECT count(*) FROM library_author WHERE name = '{name}'") == [
        (f"{STANDING}",)
    ]


def test_a_demoted_primary_takes_no_write_and_gets_go_on(site: ChaosSite, cluster: LocalCluster) -> None:
    with Run(site, "primary demoted") as run, ExitStack() as stack:
        run.strike(lambda: stack.enter_context(demoted(cluster)))
        refused = [site.ask("/change?name=demoted", "POST") for _ in range(8)]
        run.go_on(3 * INTERVAL)
        stack.close()
        returned = site.ask("/change?name=demoted", "POST")
    run.check(SLOWEST_SECONDS)
    assert [(answer.status, answer.retry_after is not None) for answer in refused] == [(503, True)] * 8
    assert returned.status == 200
    assert "event=node_down The primary default is down" in run.log()
