"""Does what an operator says reach every process, and hold?"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
import pytest

from django_gmf_router.routing.db_chooser import is_in_share
from django_gmf_router.testing import LocalCluster
from tests.cluster.scripts import script
from tests.cluster.sites import Site, environment, manage, served
from tests.cluster.test_accounts import accounts
from tests.waiting import until

INTERVAL = 1.0
SERVERS = ("gunicorn", "gunicorn", "uvicorn")
CLIENTS = 1000
SAMPLES = 10
NOTHING = """
INSERT INTO gmf_router_control (changed_at, changed_by, state, reason) VALUES (now(), 'the tests', '{}', '')
"""


def env(cluster: LocalCluster, age: int = 0, **router: Any) -> dict[str, str]:
    return environment(cluster, CONN_MAX_AGE=age, router={"HEALTH": {"INTERVAL": INTERVAL}, **router})


def control(cluster: LocalCluster, *args: str) -> str:
    done = manage(env(cluster), "gmf_control", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def running(migrated: LocalCluster) -> Iterator[list[Site]]:
    """The site on several web servers, for as long as these tests run."""
    with ExitStack() as stack:
        yield [stack.enter_context(served(server, env(migrated))) for server in SERVERS]


@pytest.fixture
def steered(migrated: LocalCluster, gmf_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster, of which one thing is said before and after: nothing."""
    _say_nothing(migrated)
    yield gmf_cluster
    gmf_cluster.heal()
    _say_nothing(migrated)


def _say_nothing(cluster: LocalCluster) -> None:
    # Who has not heard yet that something is over never would, were the table only emptied.
    cluster.execute("primary", f"DELETE FROM gmf_router_control; {NOTHING}")
    cluster.wait_for_replay()


@pytest.fixture
def sites(steered: LocalCluster, running: list[Site]) -> list[Site]:
    """The sites, all of whose processes have heard that nothing is said any more."""
    with httpx.Client(timeout=30) as client:
        until(lambda: {reason(client, site) for site in running for _ in range(SAMPLES)} == {"read_method"})
    return running


def reason(client: httpx.Client, site: Site, name: str = "") -> str:
    answer = client.get(f"{site.url}/where", headers={"Cookie": f"sessionid={name}"} if name else {})
    assert answer.status_code in {200, 503}, answer.text
    return answer.headers["X-GMF-Database"].rpartition("reason=")[2] if answer.status_code == 200 else "none"


def last_time(sites: list[Site], is_old: Callable[[httpx.Client, Site], bool]) -> float:
    """Ask all sites for four intervals, on new connections; return when one was last as it had been before."""
    began = last = time.monotonic()
    while time.monotonic() - began < 4 * INTERVAL:
        for site in sites:
            with httpx.Client(timeout=30) as client:
                if is_old(client, site):
                    last = time.monotonic()
    return last


def last_seen(sites: list[Site], old: str, name: str = "") -> float:
    """Return when one of the sites was last served by the reason `old`."""
    return last_time(sites, lambda client, site: reason(client, site, name) == old)


def last_read(sites: list[Site], *ports: int) -> float:
    """Return when one of the sites last read from one of these servers."""
    return last_time(sites, lambda client, site: client.get(f"{site.url}/one-read").json()["port"] in ports)


def last_status(sites: list[Site], status: int) -> float:
    """Return when one of the sites last answered a write with this status."""
    return last_time(sites, lambda client, site: client.post(f"{site.url}/save").status_code == status)


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


def test_an_operator_turns_replicas_off_and_on_again_for_all_processes_without_a_restart(
    steered: LocalCluster, sites: list[Site]
) -> None:
    with httpx.Client(timeout=30) as client:
        assert {reason(client, site) for site in sites} == {"read_method"}
    assert control(steered, "share", "0", "--reason", "a bad day") == "default: replicas serve 0% of the clients.\n"
    said = time.monotonic()
    assert last_seen(sites, "read_method") - said < 2 * INTERVAL
    control(steered, "share", "reset")
    said = time.monotonic()
    assert last_seen(sites, "share") - said < 2 * INTERVAL


def test_a_drained_replica_gets_no_read_in_any_process_until_it_is_put_back(
    steered: LocalCluster, sites: list[Site]
) -> None:
    ports = steered.port("replica_1"), steered.port("replica_2")
    told = control(steered, "drain", "replica_1", "--reason", "new disks")
    said = time.monotonic()
    assert told == "default: replica_1 is drained. Reads go to replica_2.\n"
    assert last_read(sites, ports[0]) - said < 2 * INTERVAL
    assert [line.split()[-1] for line in manage(env(steered), "gmf_status").stdout.splitlines()] == [
        *("drained", "-", "yes", "-")
    ]
    control(steered, "undrain", "replica_1")
    until(lambda: read_from(sites) == {*ports})


def read_from(sites: list[Site]) -> set[int]:
    with httpx.Client(timeout=30) as client:
        return {client.get(f"{site.url}/one-read").json()["port"] for site in sites for _ in range(8)}


def test_the_last_replica_may_be_drained_and_the_command_says_what_follows(
    steered: LocalCluster, sites: list[Site]
) -> None:
    control(steered, "drain", "replica_1")
    told = control(steered, "drain", "replica_2")
    said = time.monotonic()
    assert told == "default: replica_2 is drained. No replica is left: the primary serves the reads.\n"
    assert last_seen(sites, "read_method") - said < 2 * INTERVAL
    with httpx.Client(timeout=30) as client:
        assert {reason(client, site) for site in sites} == {"no_replica"}
    assert json.loads(control(steered, "status", "--json"))["drained"] == ["replica_1", "replica_2"]
    assert "drained: replica_1, replica_2. No replica is left" in control(steered, "status")
    control(steered, "undrain", "replica_1")
    control(steered, "undrain", "replica_2")
    until(lambda: read_from(sites) == {steered.port("replica_1"), steered.port("replica_2")})


ROUTED = """
import sys, django
django.setup()
from django_gmf_router import current_decision
from tests.books.models import Author
for line in sys.stdin:
    Author.objects.count()
    print(current_decision().alias, flush=True)
"""
IN_A_BLOCK = """
import sys, django
django.setup()
from django_gmf_router import current_decision, use_replica
from tests.books.models import Author
with use_replica(level="eventual"):
    for line in sys.stdin:
        Author.objects.count()
        print(current_decision().alias, flush=True)
"""


def test_a_stream_and_a_worker_leave_a_drained_replica(steered: LocalCluster, sites: list[Site]) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(timeout=30))
        readers: list[Callable[[], str]] = []
        for site, path in zip(sites[1:], ("/ticks", "/ticks-async"), strict=True):
            lines = stack.enter_context(client.stream("GET", f"{site.url}{path}")).iter_lines()
            readers.append(lambda lines=lines: json.loads(next(lines))["alias"])  # type: ignore[misc]
        for code in (ROUTED, IN_A_BLOCK):
            ask = stack.enter_context(script(code, env(steered, OUTSIDE_REQUESTS="replica")))
            readers.append(lambda ask=ask: ask("read"))  # type: ignore[misc]
        until(lambda: all(reader().startswith("replica") for reader in readers))
        for alias, other in (("replica_1", "replica_2"), ("replica_2", "replica_1")):
            control(steered, "drain", alias)
            until(lambda other=other: {reader() for reader in readers} == {other})  # type: ignore[misc]
            control(steered, "undrain", alias)


def test_a_drained_replica_is_left_alone_as_requests_end(steered: LocalCluster) -> None:
    def sessions() -> int:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = 'gmf'"
        ((found,),) = steered.execute("replica_1", f"{sql} AND application_name = 'drained'")
        return int(found)

    database = {"CONN_MAX_AGE": 60, "OPTIONS": {"application_name": "drained"}}
    router = {"HEALTH": {"INTERVAL": INTERVAL}}
    with (
        served("gunicorn", environment(steered, router=router, **database), workers=1, threads=1) as site,
        httpx.Client(base_url=site.url, timeout=30) as client,
    ):
        until(lambda: client.get("/one-read").json()["port"] == steered.port("replica_1"))
        assert sessions() == 1
        control(steered, "drain", "replica_1")
        until(lambda: client.get("/read-from/replica_1").json()["port"] != steered.port("replica_1"))
        assert sessions() == 0
    control(steered, "undrain", "replica_1")


REASON = "We move to new servers."


def authors(cluster: LocalCluster) -> int:
    ((found,),) = cluster.execute("primary", "SELECT count(*) FROM library_author")
    return int(found)


def test_in_maintenance_every_process_reads_and_none_writes_until_it_is_over(
    steered: LocalCluster, sites: list[Site]
) -> None:
    control(steered, "maintenance", "on", "--reason", REASON)
    said = time.monotonic()
    assert last_status(sites, 201) - said < 2 * INTERVAL
    before = authors(steered)
    with httpx.Client(timeout=30) as client:
        for site in sites:
            assert reason(client, site) == "maintenance"
            for method, path in (
                ("POST", "/save"),
                ("POST", "/save-by-hand"),
                ("POST", "/save-async"),
                ("GET", "/write"),
            ):
                refused = client.request(method, f"{site.url}{path}")
                assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
                assert refused.json()["detail"].endswith(REASON)
            looks = client.post(f"{site.url}/where").json()["looks"]
            assert {look["role"] for look in looks} == {"replica"}
    assert authors(steered) == before
    found = json.loads(control(steered, "status", "--json"))
    assert (found["maintenance"], found["maintenance_reason"]) == (True, REASON)
    assert f"maintenance is on, requests may only read: {REASON}" in control(steered, "status")
    control(steered, "maintenance", "off")
    said = time.monotonic()
    assert last_status(sites, 503) - said < 2 * INTERVAL


def test_in_maintenance_people_stay_logged_in_and_the_admin_says_why_nothing_is_saved(steered: LocalCluster) -> None:
    known = {"username": f"steersman-{time.monotonic_ns()}", "password": "lovelace"}
    more = {
        "DJANGO_SETTINGS_MODULE": "tests.cluster.accounts_settings",
        "DJANGO_SUPERUSER_PASSWORD": known["password"],
    }
    made = manage(
        {**env(steered), **more}, "createsuperuser", "--noinput", f"--username={known['username']}", "--email=a@b.test"
    )
    assert made.returncode == 0, made.stderr
    # As NetBox does.
    every_page = {"ROOT_URLCONF": "tests.urls", "SESSION_SAVE_EVERY_REQUEST": True}
    with (
        accounts(steered, "gunicorn", **every_page) as site,
        httpx.Client(base_url=site.url, timeout=30, headers={"Accept": "text/html"}) as client,
    ):
        client.get("/admin/login/")
        form = {"csrfmiddlewaretoken": client.cookies["csrftoken"]}
        assert client.post("/admin/login/?next=/admin/", data={**form, **known}).status_code == 302
        control(steered, "maintenance", "on", "--reason", REASON)
        page = until(lambda: found if REASON in (found := client.get("/admin/auth/group/add/")).text else None)
        assert page.status_code == 200
        form = {"csrfmiddlewaretoken": client.cookies["csrftoken"]}
        refused = client.post("/admin/auth/group/add/", data={**form, "name": "editors"})
        assert (refused.status_code, REASON in refused.text) == (503, True)
        assert client.get("/session").status_code == 200
        assert client.post("/admin/logout/", data=form).status_code == 503
        assert client.get("/admin/").status_code == 200
        assert "session_not_saved" not in page.text
        assert "A session was not saved" in site.log.read_text()
    control(steered, "maintenance", "off")


def test_drains_and_maintenance_hold_after_a_restart_and_while_the_primary_is_away(steered: LocalCluster) -> None:
    control(steered, "maintenance", "on", "--reason", REASON)
    control(steered, "drain", "replica_1")
    steered.wait_for_replay()
    with served("gunicorn", env(steered)) as site, httpx.Client(base_url=site.url, timeout=30) as client:
        # Not even the first write of a process slips through, nor the first read of one.
        refused = [client.post("/save") for _ in range(8)]
        assert [answer.status_code for answer in refused] == [503] * 8
        assert {read["port"] for read in (client.get("/one-read").json() for _ in range(20))} == {
            steered.port("replica_2")
        }
        steered.kill("primary")
        assert until(lambda: client.get("/one-read").json())["port"] == steered.port("replica_2")
        assert client.post("/save").json()["detail"].endswith(REASON)
    with served("gunicorn", env(steered)) as site, httpx.Client(base_url=site.url, timeout=30) as client:
        assert client.get("/one-read").json()["port"] == steered.port("replica_2")
        until(lambda: client.post("/save").json()["detail"].endswith(REASON))
        steered.restart("primary")
        control(steered, "maintenance", "off")
        until(lambda: client.post("/save").status_code == 201)
    control(steered, "undrain", "replica_1")


def test_what_was_said_holds_after_a_restart_and_while_the_primary_is_away(steered: LocalCluster) -> None:
    control(steered, "share", "50", "--reason", "a bad day")
    steered.wait_for_replay()
    steered.kill("primary")
    served_by = {is_in_share(name, 0.5): name for name in map(str, range(20))}
    # One process: it has heard by its second request, however late that comes.
    with served("gunicorn", env(steered), workers=1) as site:
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
    assert rows == "3"


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["share", "110"], "share 110: say a number of per cent from 0 to 100, or reset."),
        (["share", "half"], "share half: say a number of per cent from 0 to 100, or reset."),
        (["drain", "default"], "default is the primary, only replicas can be drained: 'replica_1', 'replica_2'."),
        (["drain", "replica_9"], "replica_9 is no replica of 'default': 'replica_1', 'replica_2'."),
        (["undrain", "replica_9"], "replica_9 is no replica of 'default': 'replica_1', 'replica_2'."),
        (["share", "1", "--database", "replica_1"], "--database replica_1 is no primary of a cluster in GMF_ROUTER"),
    ],
)
def test_nonsense_is_told_in_one_line(steered: LocalCluster, args: list[str], error: str) -> None:
    done = manage(env(steered), "gmf_control", *args)
    assert done.returncode == 1
    # Before it Django prints the class of the exception.
    assert done.stderr.partition(": ")[2].startswith(error)
    assert done.stderr.count("\n") == 1
    assert steered.execute("primary", "SELECT count(*) FROM gmf_router_control") == [("1",)]


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
        # The sites of the other tests have seen it missing too, and ask for it again once they connect anew.
        for node in steered.nodes:
            sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gmf_monitor'"
            steered.execute(node, sql)
