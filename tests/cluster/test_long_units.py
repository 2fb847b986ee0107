"""Does a unit of work that lasts leave a replica that falls behind?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.scripts import script
from tests.cluster.sites import DRIVERS, environment, served
from tests.waiting import until

HEALTH = {"INTERVAL": 0.2, "TIMEOUT": 2.0, "MAX_LAG": 0.5}
ROUTER = {"HEALTH": HEALTH, "OUTSIDE_REQUESTS": "replica"}
READER = """
import json, sys, django
django.setup()
from django_gmf_router import current_decision
from tests.books.models import Author
for line in sys.stdin:
    count = Author.objects.count()
    print(json.dumps({"role": current_decision().role, "count": count}), flush=True)
"""
Look = Callable[[], dict[str, Any]]


@contextmanager
def reading(how: str, cluster: LocalCluster) -> Iterator[Look]:
    """Begin a unit of work, whose next read is what each call answers."""
    if how.startswith("worker"):
        with script(READER, environment(cluster, how.removeprefix("worker-"), ROUTER)) as ask:
            yield lambda: json.loads(ask("read"))  # type: ignore[no-any-return]
        return
    server, path = {"gunicorn": ("gunicorn", "/ticks"), "uvicorn": ("uvicorn", "/ticks-async")}[how]
    with served(server, environment(cluster, router=ROUTER, CONN_MAX_AGE=0), workers=1) as site:
        client = httpx.Client(base_url=site.url, timeout=30)
        with client, client.stream("GET", path) as response:
            lines = response.iter_lines()
            yield lambda: json.loads(next(lines))  # type: ignore[no-any-return]


@pytest.mark.parametrize("how", ["gunicorn", "uvicorn", *(f"worker-{driver}" for driver in DRIVERS)])
def test_a_stream_and_a_worker_leave_a_replica_that_lags(
    gmf_cluster: LocalCluster, migrated: LocalCluster, how: str
) -> None:
    with reading(how, gmf_cluster) as look:
        before = until(lambda: seen if (seen := look())["role"] == "replica" else None)["count"]
        for node in ("replica_1", "replica_2"):
            gmf_cluster.pause(node)
        gmf_cluster.execute("primary", "INSERT INTO library_author (name) VALUES ('while it streams')")
        assert until(lambda: seen if (seen := look())["count"] > before else None)["role"] == "primary"
        for node in ("replica_1", "replica_2"):
            gmf_cluster.resume(node)
        # It stays where it went: no page sees time go back.
        assert look()["count"] == before + 1
