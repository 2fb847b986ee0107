"""What do the tests of web servers share?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.plugin import refuse
from tests.chaos.conftest import cluster, library, pytest_terminal_summary
from tests.servers.matrix import SERVERS, Server
from tests.servers.sites import ServedSite, serving

__all__ = ["cluster", "library", "pytest_terminal_summary"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if "/servers/" in item.path.as_posix():
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="module", params=SERVERS, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> Server:
    """A web server."""
    server: Server = request.param
    if lacking := server.missing():
        refuse(f"{server.name} needs {lacking}")
    return server


@pytest.fixture(scope="module")
def served_site(row: Server, library: LocalCluster) -> Iterator[ServedSite]:
    """The site, served by it."""
    with serving(row, library) as running:
        yield running


@pytest.fixture
def site(served_site: ServedSite, cluster: LocalCluster) -> ServedSite:
    """The site on the whole cluster."""
    served_site.wait_until_whole()
    return served_site
