"""What becomes of one request whose server dies in its middle? Pages wait at a gate while the test kills it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

import pytest

from django_gmf_router.testing import LocalCluster
from tests.chaos.gate import Gate
from tests.chaos.load import Answer
from tests.chaos.sessions import terminate
from tests.chaos.sites import ChaosSite
from tests.waiting import until

# As many as one worker has threads: it may get all of them.
FINISHED = [
    ["generic-foreign-keys", "prefetch", "using-state-db", "refresh"],
    ["server-side-iterator", "async-iterator"],
]
FAILED = ["half-fetched", "read-in-transaction"]
SLEEP_SECONDS = 3


class AtGate:
    """A request that waits in the middle of a page."""

    def __init__(self, site: ChaosSite, path: str, gate: Gate, pool: ThreadPoolExecutor, method: str = "GET") -> None:
        self.gate = gate
        separator = "&" if "?" in path else "?"
        self._answer: Future[Answer] = pool.submit(site.ask, f"{path}{separator}gate={gate.port}", method)
        self.told = gate.wait()

    def finish(self) -> Answer:
        """Let the page go on, and answer what it became."""
        self.gate.open()
        return self.result()

    def result(self) -> Answer:
        """Answer what the page became whose gate was opened."""
        return self._answer.result(timeout=30)


@contextmanager
def at_gates(site: ChaosSite, paths: Sequence[str], method: str = "GET") -> Iterator[list[AtGate]]:
    """Requests for pages that have read, and wait."""
    with ThreadPoolExecutor(len(paths)) as pool, ExitStack() as gates:
        yield [AtGate(site, path, gates.enter_context(Gate()), pool, method) for path in paths]


def undisturbed(site: ChaosSite, path: str) -> object:
    with at_gates(site, [path]) as (request,):
        return request.finish().body["found"]


@pytest.mark.parametrize("kinds", FINISHED, ids=",".join)
def test_a_page_whose_replicas_die_in_its_middle_reads_the_rest_elsewhere(
    site: ChaosSite, cluster: LocalCluster, kinds: list[str]
) -> None:
    paths = [f"/dies/{kind}" for kind in kinds]
    expected = [undisturbed(site, path) for path in paths]
    with at_gates(site, paths) as requests:
        assert {request.told["alias"] for request in requests} <= {"replica_1", "replica_2"}
        cluster.kill("replica_1")
        cluster.kill("replica_2")
        answers = [request.finish() for request in requests]
    assert [answer.status for answer in answers] == [200] * len(kinds), site.log()[-3000:]
    assert [answer.body["found"] for answer in answers] == expected
    assert all(expected)
    assert {answer.body["port"] for answer in answers} == {cluster.port("primary")}


def test_a_read_in_a_transaction_and_one_that_delivered_rows_fail_with_their_replica(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    with at_gates(site, [f"/dies/{kind}" for kind in FAILED]) as requests:
        for alias in {request.told["alias"] for request in requests}:
            cluster.kill(alias)
        answers = [request.finish() for request in requests]
    assert [answer.body.get("error") for answer in answers] == ["OperationalError"] * len(FAILED), answers
    assert not site.ask("/page").is_failed


def test_an_export_whose_replica_stands_still_for_seconds_is_complete(site: ChaosSite, cluster: LocalCluster) -> None:
    expected = undisturbed(site, "/dies/half-fetched")
    with at_gates(site, ["/dies/half-fetched"]) as (request,):
        alias, since = request.told["alias"], len(site.log())
        cluster.freeze(alias)
        request.gate.open()
        site.wait_until_each_worker_logs(f"The replica {alias} is down", since)
        cluster.thaw(alias)
        answer = request.result()
    assert answer.body.get("found") == expected, answer


def test_a_unit_of_work_moves_twice_and_fails_at_the_third_death(site: ChaosSite, cluster: LocalCluster) -> None:
    names = {cluster.port(node): node for node in cluster.nodes}
    with at_gates(site, ["/dies/three-deaths"]) as (request,):
        told = [request.told]
        for _ in range(2):
            terminate(cluster, names[told[-1]["port"]], told[-1]["backend"])
            request.gate.open()
            told.append(request.gate.wait())
        terminate(cluster, names[told[-1]["port"]], told[-1]["backend"])
        answer = request.finish()
    # Where all replicas die one after the other, only the primary ends the series.
    assert [names[each["port"]] == "primary" for each in told] == [False, False, True]
    assert answer.body.get("error") == "OperationalError", answer
    assert not site.ask("/page").is_failed


def test_a_write_is_never_repeated(site: ChaosSite, cluster: LocalCluster) -> None:
    name = f"never repeated {site.name}"
    with at_gates(site, [f"/write-twice?name={quote(name)}"], method="POST") as (request,):
        # The primary itself goes on: a second attempt would succeed.
        terminate(cluster, "primary", request.told["backend"])
        answer = request.finish()
    assert (answer.status, answer.retry_after is not None) == (503, True), answer
    assert cluster.execute("primary", f"SELECT count(*) FROM library_author WHERE name = '{name}'") == [("1",)]


@contextmanager
def impatient_replay(cluster: LocalCluster, nodes: Sequence[str]) -> Iterator[None]:
    """Let replay cancel at once what is in its way."""
    for node in nodes:
        cluster.execute(node, "ALTER SYSTEM SET max_standby_streaming_delay = 0; SELECT pg_reload_conf()")
    try:
        yield
    finally:
        for node in nodes:
            cluster.execute(node, "ALTER SYSTEM RESET max_standby_streaming_delay; SELECT pg_reload_conf()")


def stand_in_the_way(cluster: LocalCluster) -> None:
    """Remove rows that every read on a replica still needs."""
    cluster.execute(
        "primary",
        "CREATE TABLE vacuumed AS SELECT generate_series(1, 100) AS n; DELETE FROM vacuumed;"
        "VACUUM vacuumed; DROP TABLE vacuumed;",
    )


def test_a_read_in_the_way_of_replay_is_repeated_on_another_node(site: ChaosSite, cluster: LocalCluster) -> None:
    replicas = {node: cluster.port(node) for node in cluster.nodes if node != "primary"}
    with impatient_replay(cluster, list(replicas)), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(site.ask, f"/sleep?seconds={SLEEP_SECONDS}")
        reading = is_reading(cluster, list(replicas))
        begun = site.log().count("event=retry")
        stand_in_the_way(cluster)
        found = answer.result(timeout=30)
    assert not found.is_failed, site.log()[-3000:]
    assert found.body["port"] != replicas[reading]
    assert found.seconds >= SLEEP_SECONDS
    assert site.log().count("event=retry") == begun + 1
    # It says which view is in the way.
    assert f"GET /sleep: a read of {reading} failed on {reading} (conflict) and moves" in site.log()


def test_a_read_in_the_way_of_each_replicas_replay_is_served_by_the_primary(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    replicas = [node for node in cluster.nodes if node != "primary"]
    with impatient_replay(cluster, replicas), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(site.ask, f"/sleep?seconds={SLEEP_SECONDS}")
        first = is_reading(cluster, replicas)
        stand_in_the_way(cluster)
        is_reading(cluster, [node for node in replicas if node != first])
        stand_in_the_way(cluster)
        is_reading(cluster, ["primary"])
        found = answer.result(timeout=30)
    assert not found.is_failed, site.errors()
    assert found.body["port"] == cluster.port("primary")


def test_a_read_whose_replicas_die_one_after_the_other_is_served_by_the_primary(
    site: ChaosSite, cluster: LocalCluster
) -> None:
    replicas = {"replica_1", "replica_2"}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(site.ask, f"/sleep?seconds={SLEEP_SECONDS}")
        first = is_reading(cluster, sorted(replicas))
        cluster.kill(first)
        second = is_reading(cluster, sorted(replicas - {first}))
        cluster.kill(second)
        found = answer.result(timeout=30)
    assert not found.is_failed, site.errors()
    assert found.body["port"] == cluster.port("primary")


def is_reading(cluster: LocalCluster, nodes: list[str]) -> str:
    """Wait for the node on which the long read runs."""
    found: list[str] = []
    sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(%' AND pid <> pg_backend_pid()"

    def look() -> bool:
        found.extend(node for node in nodes if cluster.execute(node, f"{sql} AND state = 'active'") != [("0",)])
        return bool(found)

    until(look, 20, "a replica runs the long read")
    return found[0]
