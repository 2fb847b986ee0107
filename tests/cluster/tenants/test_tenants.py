"""Does each tenant see its own rows, and no other's, on each server and driver, while nodes fail?"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.chaos.load import Answer, Load
from tests.chaos.sessions import terminate
from tests.cluster.sites import DRIVERS
from tests.cluster.tenants.conftest import TENANTS, Tenancy, ask, wrong
from tests.waiting import until

REQUESTS = 100 if os.environ.get("GMF_SOAK") else 50
"""Of each tenant, before, in and after an outage each."""
# One session for many requests: gunicorn's threads keep theirs. uvicorn has a thread for each request, and so no
# persistent connection: with psycopg 3 the pool lends the same sessions to one tenant and the other.
SITES = {
    "gunicorn-psycopg": {"CONN_MAX_AGE": 60},
    "gunicorn-psycopg2": {"CONN_MAX_AGE": 60},
    "uvicorn-psycopg": {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": {"min_size": 2, "max_size": 8}}},
    "uvicorn-psycopg2": {"CONN_MAX_AGE": 0},
}


# In a soak each server on each driver, else those whose connections last.
@pytest.mark.soak
@pytest.mark.parametrize("name", SITES if os.environ.get("GMF_SOAK") else ("gunicorn-psycopg2", "uvicorn-psycopg"))
def test_no_tenant_sees_rows_of_another_while_a_replica_is_killed_and_comes_back(tenancy: Tenancy, name: str) -> None:
    server, driver = name.split("-")
    paths = ["/parcels", "/stream", "/parcels-async"]
    with tenancy.served(server, driver, **SITES[name]) as site, ExitStack() as stack:
        loads = {
            tenant: stack.enter_context(Load(site.url, paths, clients=4, headers={"Host": f"{tenant}.test"}))
            for tenant in TENANTS
        }

        def go_on() -> None:
            for load in loads.values():
                load.wait_for(len(load.answers) + REQUESTS)

        go_on()
        tenancy.cluster.kill("replica_1")
        go_on()
        tenancy.cluster.restart("replica_1")
        go_on()
        by_cursor = {tenant: [ask(site, tenant, "/cursor") for _ in range(20)] for tenant in TENANTS}
        stack.close()
        log = site.log.read_text()
    mistaken = [line for tenant, load in loads.items() for line in wrong(tenant, [*load.answers, *by_cursor[tenant]])]
    assert not mistaken, "\n".join([*mistaken[:5], log[-3000:]])


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_read_that_moves_in_its_middle_is_that_of_its_tenant_on_each_node(tenancy: Tenancy, driver: str) -> None:
    replicas = ["replica_1", "replica_2"]
    with tenancy.served("gunicorn", driver) as site, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, site, "bau", "/long?seconds=0.6")
        left = [*replicas, "primary"]
        for _ in replicas:
            node, backend = until(lambda nodes=tuple(left): reading(tenancy, nodes), 20, "a node runs the read")
            terminate(tenancy.cluster, node, backend)
            left.remove(node)
        found = answer.result(timeout=30)
        assert found.body.get("node") not in {None, *set(replicas) - set(left)}, found
        assert not wrong("bau", [found])
        # What is left in the sessions does not matter to the next one.
        assert not wrong("amt", [ask(site, "amt", "/parcels") for _ in range(20)])


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_session_that_hangs_before_its_read_is_freed_like_one_that_hangs_in_it(tenancy: Tenancy, driver: str) -> None:
    with tenancy.served("gunicorn", driver) as site, ThreadPoolExecutor(16) as pool:

        def answers(paths: list[str]) -> dict[str, list[Answer]]:
            asked = {tenant: [pool.submit(ask, site, tenant, path) for path in paths] for tenant in TENANTS}
            return {tenant: [each.result(timeout=60) for each in found] for tenant, found in asked.items()}

        # All sessions are open, and those of either tenant.
        answers(["/parcels"] * 40)
        tenancy.cluster.freeze("replica_1")
        found = answers(["/parcels"] * 8)
        tenancy.cluster.thaw("replica_1")
        for tenant in TENANTS:
            assert not wrong(tenant, found[tenant]), site.log.read_text()[-3000:]


def reading(tenancy: Tenancy, nodes: tuple[str, ...]) -> tuple[str, int] | None:
    """Return on which node, and in which session, the long read runs."""
    sql = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(%' AND pid <> pg_backend_pid()"
    for node in nodes:
        if found := tenancy.cluster.execute(node, f"{sql} AND state = 'active'"):
            return node, int(str(found[0][0]))
    return None


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_primary_serves_each_tenant_alike_as_last_resort_and_in_transactions(tenancy: Tenancy, driver: str) -> None:
    with tenancy.served("gunicorn", driver) as site:
        for replicas in ([], ["replica_1", "replica_2"]):
            for node in replicas:
                tenancy.cluster.kill(node)
            for _ in range(20):
                for tenant in TENANTS:
                    answers = [ask(site, tenant, "/save", "POST"), ask(site, tenant, "/parcels")]
                    assert not wrong(tenant, answers), site.log.read_text()[-3000:]


def test_the_rows_of_a_tenant_that_nobody_set_are_seen_by_nobody(tenancy: Tenancy) -> None:
    with tenancy.served("gunicorn", "psycopg") as site:
        assert not wrong("amt", [ask(site, "amt", "/parcels") for _ in range(20)])
        answers = [ask(site, "nobody", "/parcels") for _ in range(20)]
    assert [answer.body.get("tenants", []) for answer in answers] == [[]] * 20
