"""What do the tests of read your writes on the local cluster share?"""

from __future__ import annotations

from pathlib import Path

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import environment, manage
from tests.summary import print_figures

LINES: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    print_figures(terminalreporter, "what the clients saw", LINES)


@pytest.fixture(scope="session")
def figures() -> list[str]:
    """What to print at the end."""
    return LINES


@pytest.fixture
def cluster(gmf_cluster: LocalCluster) -> LocalCluster:
    """The cluster, whole and with the tables of the site on every node."""
    done = manage(environment(gmf_cluster), "migrate", "--verbosity=0")
    assert done.returncode == 0, done.stderr
    gmf_cluster.wait_for_replay()
    return gmf_cluster
