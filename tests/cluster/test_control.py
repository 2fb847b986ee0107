"""Does what an operator says reach every process, and hold?"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
import pytest

from django_gmf_router.routing.clients import is_in_share
from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import Site, environment, manage, served

INTERVAL = 1.0
SERVERS = ("gunicorn", "gunicorn", "uvicorn")
CLIENTS = 1000


def env(cluster: LocalCluster, age: int = 0, **router: Any) -> dict[str, str]:
    return environment(cluster, CONN_MAX_AGE=age, router={"HEALTH": {"INTERVAL": INTERVAL}, **router})


def control(cluster: LocalCluster, *args: str) -> str:
    done = manage(env(cluster), "gmf_control", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def steered(migrated: LocalCluster, gmf_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster, of which nothing is said before and after."""
    yield gmf_cluster
    gmf_cluster.heal()
    gmf_cluster.execute("primary", "DELETE FROM gmf_router_control")
    migrated.wait_for_replay()


def reason(client: httpx.Client, site: Site, name: str = "") -> str:
    answer = client.get(f"{site.url}/where", headers={"Cookie": f"sessionid={name}"} if name else {})
    assert answer.status_code in {200, 503}, answer.text
    return answer.headers["X-GMF-Database"].rpartition("reason=")[2] if answer.status_code == 200 else "none"


def last_seen(sites: list[Site], old: str, name: str = "") -> float:
    """Ask all sites for four intervals, on new connections; return when one was last served by the reason `old`."""
    began = last = time.monotonic()
    while time.monotonic() - began < 4 * INTERVAL:
        for site in sites:
            with httpx.Client(timeout=30) as client:
                if reason(client, site, name) == old:
                    last = time.monotonic()
    return last


def test_a_share_serves_that_part_of_the_clients_the_same_ones_always(steered: LocalCluster) -> None:
    names = [f"client{number}" for number in range(CLIENTS)]
    with (
        served("gunicorn", env(steered, age=60, SHARE=0.3)) as site,
        httpx.Client(timeout=30) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        first, second = (list(pool.map(partial(reason, client, site), names)) for _ in range(2))
    assert first == second
    counts = Counter(first)
    assert set(counts) == {"share", "read_method"}
    assert abs(counts["read_method"] / CLIENTS - 0.3) < 0.04


def test_an_operator_turns_replicas_off_and_on_again_for_all_processes_without_a_restart(steered: LocalCluster) -> None:
    with ExitStack() as stack:
        sites = [stack.enter_context(served(server, env(steered))) for server in SERVERS]
        with httpx.Client(timeout=30) as client:
            assert {reason(client, site) for site in sites} == {"read_method"}
        assert control(steered, "share", "0", "--reason", "a bad day") == "default: replicas serve 0% of the clients.\n"
        said = time.monotonic()
        assert last_seen(sites, "read_method") - said < 2 * INTERVAL
        control(steered, "share", "reset")
        said = time.monotonic()
        assert last_seen(sites, "share") - said < 2 * INTERVAL


def test_what_was_said_holds_after_a_restart_and_while_the_primary_is_away(steered: LocalCluster) -> None:
    control(steered, "share", "50", "--reason", "a bad day")
    steered.wait_for_replay()
    steered.kill("primary")
    served_by = {is_in_share(name, 0.5): name for name in map(str, range(20))}
    with served("gunicorn", env(steered)) as site:
        began = time.monotonic()
        # Whose reads are the primary's cannot be served without it.
        assert last_seen([site], "read_method", served_by[False]) - began < 2 * INTERVAL
        with httpx.Client(timeout=30) as client:
            assert reason(client, site, served_by[False]) == "none"
            assert reason(client, site, served_by[True]) == "read_method"


def test_the_state_tells_who_said_what_and_why(steered: LocalCluster) -> None:
    control(steered, "share", "12.5", "--reason", "first steps")
    found = json.loads(control(steered, "status", "--json"))
    assert (found["share"], found["is_reset"], found["change"]["reason"]) == (0.125, False, "first steps")
    assert "by gmf_control" in control(steered, "status")
    control(steered, "share", "reset")
    assert json.loads(control(steered, "status", "--json"))["share"] == 1.0
    ((rows,),) = steered.execute("primary", "SELECT count(*) FROM gmf_router_control")
    assert rows == "2"


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["share", "110"], "share 110: say a number of per cent from 0 to 100, or reset."),
        (["share", "half"], "share half: say a number of per cent from 0 to 100, or reset."),
        (["share", "1", "--database", "replica_1"], "--database replica_1 is no primary of a cluster in GMF_ROUTER"),
    ],
)
def test_nonsense_is_told_in_one_line(steered: LocalCluster, args: list[str], error: str) -> None:
    done = manage(env(steered), "gmf_control", *args)
    assert done.returncode == 1
    assert done.stderr.startswith(f"CommandError: {error}")
    assert done.stderr.count("\n") == 1


def test_without_the_table_nothing_is_steered_and_nothing_fails(steered: LocalCluster) -> None:
    steered.execute("primary", "ALTER TABLE gmf_router_control RENAME TO away")
    try:
        steered.wait_for_replay()
        done = manage(env(steered), "gmf_control", "share", "0")
        assert done.returncode == 1
        assert "has no table gmf_router_control: run `manage.py migrate` first." in done.stderr
        with served("gunicorn", env(steered)) as site, httpx.Client(timeout=30) as client:
            assert reason(client, site) == "read_method"
            assert "facts_refused" not in site.log.read_text()
        assert manage(env(steered), "gmf_status").returncode == 0
    finally:
        steered.execute("primary", "ALTER TABLE away RENAME TO gmf_router_control")
        steered.wait_for_replay()
