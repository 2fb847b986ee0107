"""What do the tests on real streaming replication share?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import DRIVERS, SERVERS, Site, environment, manage, served
from tests.turns import keep_in_turn


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is in this folder; in CI each test of both drivers meets one of them, in its turn."""
    own = [item for item in items if "/cluster/" in item.path.as_posix()]
    for item in own:
        item.add_marker(pytest.mark.cluster)
    keep_in_turn(config, items, own, DRIVERS)


@pytest.fixture(scope="session")
def migrated(_gmf_session_cluster: LocalCluster) -> LocalCluster:
    """The cluster with the tables of the site on every node."""
    done = manage(environment(_gmf_session_cluster), "migrate", "--verbosity=0")
    assert done.returncode == 0, done.stderr
    _gmf_session_cluster.wait_for_replay()
    return _gmf_session_cluster


@pytest.fixture(scope="module", params=[(server, driver) for server in SERVERS for driver in DRIVERS], ids="-".join)
def site(request: pytest.FixtureRequest, migrated: LocalCluster) -> Iterator[Site]:
    """The site, served by each web server on each driver."""
    server, driver = request.param
    # Django's manual: no persistent connections under ASGI. Each request has a thread, and so connections, of its own,
    # which then outlive it until the garbage collector finds them: the server runs out of slots.
    age = 0 if server == "uvicorn" else 60
    with served(server, environment(migrated, driver, CONN_MAX_AGE=age)) as running:
        yield running


@pytest.fixture
def ports(migrated: LocalCluster) -> dict[str, Any]:
    """The ports of the nodes: primary -> an int, replicas -> a set of them."""
    replicas = {migrated.port(node) for node in migrated.nodes if node != "primary"}
    return {"primary": {migrated.port("primary")}, "replica": replicas}
