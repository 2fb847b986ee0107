"""What do the tests of jobs share?"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.plugin import refuse
from tests.cluster.conftest import migrated
from tests.cluster.sites import environment
from tests.jobs.processes import Send, redis_program, redis_server, sender
from tests.summary import print_figures

__all__ = ["migrated"]
LINES: list[str] = []
MAX_LAG = 60.0
"""So long a test may pause the replicas, on a busy machine, before they count as lagging and nobody reads there."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    print_figures(terminalreporter, "what the jobs read", LINES)


@pytest.fixture(scope="session")
def figures() -> list[str]:
    """What to print at the end."""
    return LINES


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of its own; its URL."""
    if find_spec("celery") is None:
        refuse("the Python package celery is needed: pip install celery redis")
    program = redis_program()
    if program is None:
        refuse("redis-server is needed: apt-get install --no-install-recommends redis-server")
    with redis_server(str(program), tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def env(migrated: LocalCluster, broker: str) -> dict[str, str]:
    """The environment of a process of the site that sends jobs or runs them."""
    return {**environment(migrated, router={"HEALTH": {"MAX_LAG": MAX_LAG}}), "GMF_TEST_BROKER": broker}


@pytest.fixture(scope="module")
def send(env: dict[str, str]) -> Iterator[Send]:
    """A process of the site that sends jobs; between two modules other tests may restart the primary it is on."""
    with sender(env) as calls:
        yield calls


@pytest.fixture
def name() -> str:
    """The name of a row that no other test writes."""
    return uuid.uuid4().hex


@pytest.fixture
def cluster(gmf_cluster: LocalCluster, migrated: LocalCluster) -> LocalCluster:
    """The cluster, whole at the start of every test."""
    gmf_cluster.wait_for_replay()
    return gmf_cluster


@pytest.fixture
def paused(cluster: LocalCluster) -> LocalCluster:
    """The cluster, whose replicas replay nothing until the test ends."""
    for replica in cluster.nodes[1:]:
        cluster.pause(replica)
    return cluster
