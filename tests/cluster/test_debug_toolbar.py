"""Does the panel of the debug toolbar name the servers on which the queries of a request were really executed?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import environment, served
from tests.server_timing import entries
from tests.waiting import until

if not os.environ.get("CI"):
    pytest.importorskip("debug_toolbar", reason="pip install django-debug-toolbar")

POSITION = re.compile(r"[0-9A-F]+/[0-9A-F]+, \d+\.\d s old")


@contextmanager
def site(cluster: LocalCluster, server: str = "gunicorn") -> Iterator[httpx.Client]:
    """The site in one process, in which the toolbar keeps what it saw; one replica, so that it is known which."""
    # What a probe finds out, the panel would not have to show.
    router = {"REPLICAS": ["replica_1"], "HEALTH": {"INTERVAL": 30}, "DEBUG_HEADER": "Server-Timing"}
    env = environment(cluster, router=router, CONN_MAX_AGE=0 if server == "uvicorn" else 60)
    env["DJANGO_SETTINGS_MODULE"] = "tests.cluster.toolbar_settings"
    with (
        served(server, env, workers=1, threads=1) as running,
        httpx.Client(base_url=running.url, timeout=30) as client,
    ):
        yield client


def seen(client: httpx.Client, path: str, method: str = "GET") -> dict[str, Any]:
    """What the panel keeps of a request."""
    answer = client.request(method, path)
    assert answer.is_success, answer.text
    found: dict[str, Any] = client.get(f"/panel/{answer.headers['djdt-request-id']}").json()
    return found


def executed(stats: dict[str, Any]) -> list[tuple[str, str, str, int]]:
    return [(query["alias"], query["node"], query["reason"], query["count"]) for query in stats["queries"]]


def on_the_replica(stats: dict[str, Any]) -> dict[str, Any]:
    return stats if stats["queries"][-1]["alias"] == "replica_1" else {}


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_queries_and_tokens_are_shown_with_their_nodes_and_positions(migrated: LocalCluster, server: str) -> None:
    with site(migrated, server) as client:
        assert executed(seen(client, "/where")) == [("replica_1", "replica_1", "read_method", 3)]
        stats = seen(client, "/save", "POST")
        assert executed(stats) == [("default", "default", "write", 1)]
        (given,) = stats["tokens"]
        assert POSITION.fullmatch(given["given"])
        migrated.wait_for_replay()
        # The primary serves until the health monitor has heard of both.
        stats = until(lambda: on_the_replica(seen(client, "/one-read")))
        (brought,) = stats["tokens"]
        position, _, _ = given["given"].partition(",")
        assert brought["brought"].startswith(f"{position}, ")
        assert brought["wanted"].startswith(f"{position}, ")
        assert executed(stats) == [
            ("replica_1", "replica_1", "position", 1),
            ("replica_1", "replica_1", "read_method", 1),
        ]


def test_what_moved_is_shown_on_the_node_that_executed_it(migrated: LocalCluster, gmf_cluster: LocalCluster) -> None:
    with site(migrated) as client:
        header = dict(entries(client.get("/where").headers["Server-Timing"]))
        assert header["gmf"] == {"desc": "replica_1; reason=read_method"}
        assert float(header["RoutingPanel_replica_1"]["dur"]) > 0
        stats = seen(client, "/moved")
        assert executed(stats) == [("replica_1", "default", "read_method", 1)]
        assert stats["moves"] == [{"alias": "replica_1", "before": "replica_1", "after": "default"}]
        gmf_cluster.kill("replica_1")
        stats = seen(client, "/one-read")
        assert executed(stats) == [("replica_1", "default", "read_method", 1)]
        assert stats["moves"] == []
