"""Do real web servers send reads to the replicas and writes to the primary? The servers themselves say who they are."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import Site

REQUESTS = 10_000 if os.environ.get("GMF_SOAK") else 1_000
THREADS, TASKS = 16, 200
# Each task makes a connection of its own first.
OF_TASKS = REQUESTS if os.environ.get("GMF_SOAK") else REQUESTS // 4
# Method, path, and what must serve all its reads.
EXPECTED = [
    ("GET", "/where", "replica", "read_method"),
    ("HEAD", "/where", "replica", "read_method"),
    ("OPTIONS", "/where", "replica", "read_method"),
    ("POST", "/where", "primary", "write_method"),
    ("PUT", "/where", "primary", "write_method"),
    ("PATCH", "/where", "primary", "write_method"),
    ("DELETE", "/where", "primary", "write_method"),
    ("GET", "/s/ref", "primary", "master_override"),
    ("HEAD", "/s/ref", "primary", "master_override"),
    ("POST", "/printproxy/report", "replica", "slave_override"),
    ("GET", "/s/ref?x=1", "primary", "master_override"),
    ("GET", "/where?path=/s/ref", "replica", "read_method"),
    ("GET", "/where-async", "replica", "read_method"),
    ("POST", "/where-async", "primary", "write_method"),
]


def without_token(request: httpx.Request) -> None:
    """Be a client that has written nothing: where it may read is not the question here."""
    request.headers.pop("Cookie", None)


async def without_token_async(request: httpx.Request) -> None:
    without_token(request)


@pytest.fixture
def client(site: Site) -> Any:
    with httpx.Client(base_url=site.url, timeout=30, event_hooks={"request": [without_token]}) as opened:
        yield opened


def check(response: httpx.Response, ports: dict[str, set[int]], role: str, reason: str) -> None:
    assert response.status_code == 200, response.text
    assert response.headers["X-Left"] == "nothing"
    assert response.headers["X-GMF-Database"].endswith(f"; reason={reason}")
    if response.request.method != "HEAD":
        looks = response.json()["looks"]
        assert {look["role"] for look in looks} == {role}
        (port,) = {look["port"] for look in looks}
        assert port in ports[role], f"{response.request.method} {response.url} was served by {port}"


@pytest.mark.parametrize(("method", "path", "role", "reason"), EXPECTED)
def test_each_request_is_served_by_the_role_of_its_rule(
    client: httpx.Client, ports: dict[str, set[int]], method: str, path: str, role: str, reason: str
) -> None:
    check(client.request(method, path), ports, role, reason)


def test_reads_spread_over_both_replicas_one_for_each_request(client: httpx.Client, ports: dict[str, set[int]]) -> None:
    served = Counter(client.get("/where").json()["looks"][0]["port"] for _ in range(100))
    assert set(served) == ports["replica"]
    # 100 fair draws: fewer than 25 of one side happen once in 10 million runs.
    assert min(served.values()) >= 25


def test_a_transaction_on_the_primary_is_read_there(client: httpx.Client, ports: dict[str, set[int]]) -> None:
    inside, after = client.get("/atomic").json()["looks"]
    assert inside["port"] in ports["primary"]
    assert after["port"] in ports["replica"]


def test_a_get_that_writes_works_and_reads_its_own_write(client: httpx.Client, ports: dict[str, set[int]]) -> None:
    before, after = client.get("/write").json()["looks"]
    assert before["port"] in ports["replica"]
    assert (after["port"] in ports["primary"], after["reason"]) == (True, "wrote")


@pytest.mark.parametrize("path", ["/stream", "/stream-async"])
def test_a_streamed_body_is_read_from_one_replica(
    client: httpx.Client, site: Site, ports: dict[str, set[int]], path: str
) -> None:
    lines = client.get(path).text.splitlines()
    assert {line.split()[0] for line in lines} == {"read_method"}
    (port,) = {int(line.split()[1]) for line in lines}
    assert port in ports["replica"]


def test_a_decorated_view_renders_from_the_primary(client: httpx.Client) -> None:
    assert client.get("/lazy").text == "use_primary"


@pytest.mark.soak
def test_mixed_requests_from_many_threads_never_reach_the_wrong_node(site: Site, ports: dict[str, set[int]]) -> None:
    mixed = random.Random(1).choices(EXPECTED, k=REQUESTS)
    local = threading.local()

    def ask(expected: tuple[str, str, str, str]) -> None:
        if not hasattr(local, "client"):
            hooks = {"request": [without_token]}
            local.client = clients.enter(httpx.Client(base_url=site.url, timeout=60, event_hooks=hooks))
        check(local.client.request(*expected[:2]), ports, *expected[2:])

    with Clients() as clients, ThreadPoolExecutor(THREADS) as pool:
        assert sum(1 for _ in pool.map(ask, mixed)) == REQUESTS


@pytest.mark.soak
def test_mixed_requests_from_many_tasks_never_reach_the_wrong_node(site: Site, ports: dict[str, set[int]]) -> None:
    mixed = itertools.cycle(random.Random(2).sample(EXPECTED, k=len(EXPECTED)))
    left = iter(range(OF_TASKS))

    async def ask(client: httpx.AsyncClient) -> int:
        asked = 0
        for _ in left:
            method, path, role, reason = next(mixed)
            check(await client.request(method, path), ports, role, reason)
            asked += 1
        return asked

    async def main() -> int:
        limits = httpx.Limits(max_connections=TASKS, max_keepalive_connections=TASKS)
        hooks = {"request": [without_token_async]}
        async with httpx.AsyncClient(base_url=site.url, timeout=60, limits=limits, event_hooks=hooks) as client:
            return sum(await asyncio.gather(*(ask(client) for _ in range(TASKS))))

    assert asyncio.run(main()) == OF_TASKS


class Clients:
    """The clients of the threads, closed together."""

    def __init__(self) -> None:
        self._open: list[httpx.Client] = []

    def enter(self, client: httpx.Client) -> httpx.Client:
        self._open.append(client)
        return client

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *args: object) -> None:
        for client in self._open:
            client.close()


def test_the_servers_say_themselves_which_role_they_have(migrated: LocalCluster) -> None:
    roles = {node: migrated.execute(node, "SELECT pg_is_in_recovery()") for node in migrated.nodes}
    assert roles == {"primary": [("f",)], "replica_1": [("t",)], "replica_2": [("t",)]}
